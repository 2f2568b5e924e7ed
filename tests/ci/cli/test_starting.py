"""Signals that come while `lr-ci` starts: before it has anything to clean up."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.preforked import LR_CI, own_environment

# Python runs this before `lr-ci`: it sends a signal when a module is about to be imported.
SITE = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["SIGNAL_AT"]:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "module", ["ci.cli.app", "typer", "anyio", "pydantic", "ci.local.run_settings", "ci.settings.report"]
)
def test_a_signal_while_it_is_imported_ends_it_as_later(tmp_path: Path, module: str, number: signal.Signals) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITE)
    variables = {"PYTHONPATH": str(tmp_path), "SIGNAL_AT": module, "SIGNAL": str(number.value)}
    command = ["env", "--default-signal=HUP", str(LR_CI), "plan", "--help"]  # the tests may be run by `nohup`
    environment = own_environment() | variables
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", f"error: Stopped by {number.name}.\n")


def test_a_command_that_was_told_to_outlive_its_terminal_starts(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITE)
    variables = {"PYTHONPATH": str(tmp_path), "SIGNAL_AT": "ci.cli.app", "SIGNAL": str(signal.SIGHUP.value)}
    command = ["nohup", str(LR_CI), "--version"]
    environment = os.environ | own_environment() | variables
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
