"""The rooms beside the command import only what is below them, and the benchmarks nothing of the tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "bench": {"bench", "ci", "pipeline"},
    "ci/github": {"ci.github", "ci.system", "pipeline"},
    "ci/settings": {"ci.settings", "pipeline.rules"},
    "ci/local_registry": {"ci.local_registry", "ci.dockerfile", "ci.system", "pipeline"},
}


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                # `from ci import system` imports the room, not all of `ci`.
                yield from (f"{module}.{alias.name}" for alias in names)
            case _:
                continue


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    imports = {name for file in (ROOT / room).rglob("*.py") for name in _imported(file)}
    ours = {name for name in imports if name.partition(".")[0] in {"bench", "ci", "pipeline", "tests"}}
    assert ours
    assert {name for name in ours if not any(f"{name}.".startswith(f"{below}.") for below in ROOMS[room])} == set()
