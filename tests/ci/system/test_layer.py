"""`ci.system` is the lowest room of `ci`: everything may stand on it, so it stands on nothing of the product."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ci import system

ALLOWED = {"pipeline.concurrency", "pipeline.rules.image_name", "pipeline.rules.platforms"}
FILES = sorted(Path(system.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_system_imports_nothing_of_the_product(file: Path) -> None:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    ours = {name for name in found if name.partition(".")[0] in {"ci", "pipeline"}}
    above = {name for name in ours if not name.startswith("ci.system.")}
    assert above <= ALLOWED
