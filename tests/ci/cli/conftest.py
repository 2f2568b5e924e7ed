from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ci.cli import main
from tests.ci.cli.command import Ended, InProcess
from tests.preforked import FOREIGN


@pytest.fixture
def in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], git_alone: None
) -> InProcess:
    """`lr-ci` in this process, in a folder of the test's own and with a cache of its own."""
    del git_alone
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["lr-ci", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        code = left.value.code
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    return run
