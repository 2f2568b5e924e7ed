from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ci.local.engine_choice import CLI_BIN, SESSION_PORT

ROOT = Path(__file__).parents[1]


def test_a_requested_dagger_engine_that_is_not_found_is_reported_in_one_line(tmp_path: Path) -> None:
    foreign = {SESSION_PORT, CLI_BIN, "PYTEST_ADDOPTS"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--engine", "dagger"]

    def run(tests: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, tests], cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=60
        )

    refused = run("tests/conformance/test_secrets.py")
    assert refused.returncode == 4
    assert refused.stderr == "ERROR: --engine dagger: `dagger` is not on PATH, and no session is open.\n\n"
    assert run("tests/pipeline/rules/test_errors.py").returncode == 0
