"""Stands for mmdebstrap, which takes a minute and Debian's archive; the real one has a test in `test_seeding.py`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

FAKE_MMDEBSTRAP = """
for target; do :; done
exec tar --create --file="$target" --mtime=@0 --owner=0 --group=0 --numeric-owner --directory="$(dirname "$0")/root" .
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
        """Have the stand-in run a script after it has noted its arguments."""
        (self.folder / "mmdebstrap").write_text(f'#!/bin/sh\necho "$*" >> "{self.log}"\n{script}\n')
        (self.folder / "mmdebstrap").chmod(0o755)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Put the stand-in on PATH."""
    calls = Calls(tmp_path / "bin", tmp_path / "calls")
    root = calls.folder / "root"
    root.mkdir(parents=True)
    calls.log.touch()
    (root / "hello").write_text("hello\n")
    calls.replace(FAKE_MMDEBSTRAP)
    monkeypatch.setenv("PATH", f"{calls.folder}:{os.environ['PATH']}")
    return calls
