"""The guides: their blocks of code, and their links."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.command import Command
from tests.preforked import LR_CI

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        info: What stands behind its fence.
        code: Its lines.
    """

    info: str
    code: str

    def run(self, lr_ci: Command, folder: Path, registry: str) -> None:
        """Run it as it is written, with `lr-ci` on PATH and a registry in REGISTRY."""
        path = f"{Path(LR_CI).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.code],
            cwd=folder,
            env=lr_ci.with_variables(PATH=path, REGISTRY=registry).environment,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def blocks(guide: Path) -> list[Block]:
    """Return the blocks of a guide."""
    return [Block(match["info"], match["code"]) for match in _FENCE.finditer(guide.read_text(encoding="utf-8"))]


def headings(text: str) -> set[str]:
    """Return the anchors of a text's headings."""
    return {
        "#" + re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }


def broken_links(guide: Path) -> list[str]:
    """Return the links inside the repository that lead nowhere."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", guide.read_text(encoding="utf-8")) if "://" not in link]
    assert links
    return [link for link in links if not _leads_somewhere(guide, link)]


def _leads_somewhere(guide: Path, link: str) -> bool:
    path, hash_sign, anchor = link.partition("#")
    target = guide.parent / path if path else guide
    return target.exists() and (not anchor or hash_sign + anchor in headings(target.read_text(encoding="utf-8")))
