"""Stands for mmdebstrap, which takes a minute and Debian's archive; the real one has a test in `test_seeding.py`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

FAKE_MMDEBSTRAP = """#!/bin/sh
echo "$*" >> "$CALLS"
for target; do :; done
exec tar --create --file="$target" --mtime=@0 --owner=0 --group=0 --numeric-owner --directory="$ROOT" .
"""


@dataclass(frozen=True)
class Calls:
    """What the stand-in for mmdebstrap was asked for.

    Attributes:
        folder: Holds the program; a test may put another there.
        log: One line of arguments for each call.
    """

    folder: Path
    log: Path

    def arguments(self) -> str:
        return self.log.read_text()

    def count(self) -> int:
        return len(self.arguments().splitlines())

    def replace(self, script: str) -> None:
        (self.folder / "mmdebstrap").write_text(script)
        (self.folder / "mmdebstrap").chmod(0o755)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Put the stand-in on PATH."""
    calls, root = Calls(tmp_path / "bin", tmp_path / "calls"), tmp_path / "root"
    calls.folder.mkdir()
    root.mkdir()
    calls.log.touch()
    (root / "hello").write_text("hello\n")
    calls.replace(FAKE_MMDEBSTRAP)
    path = f"{calls.folder}:{os.environ['PATH']}"
    for name, value in {"PATH": path, "ROOT": str(root), "CALLS": str(calls.log)}.items():
        monkeypatch.setenv(name, value)
    return calls
