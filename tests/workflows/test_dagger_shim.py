"""The stand-in of the Dagger CLI refuses what the CLI would refuse, so that no wrong line passes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.module import BackendPipeline
from tests.acceptance.command import ROOT
from tests.workflows import dagger_shim
from tests.workflows.dagger_shim import UsageError, checks


def test_the_module_has_a_check() -> None:
    assert [*checks(BackendPipeline)] == ["image_builds"]


@pytest.mark.parametrize(
    "arguments",
    [["call", "plan"], ["--progress=fancy", "check"], ["check", "--fast"], ["run"], ["run", "--quick", "lr-ci"]],
)
def test_it_refuses_what_the_workflows_do_not_use(arguments: list[str], tmp_path: Path) -> None:
    done = run(arguments, tmp_path)
    assert done.returncode == 1
    assert "the stand-in does not know" in done.stderr.rpartition("Error: ")[2]


@pytest.mark.engine
@pytest.mark.usefixtures("lr_ci")
def test_a_program_runs_in_a_session_and_its_output_and_exit_code_are_passed_on(tmp_path: Path) -> None:
    done = run(["run", "sh", "-c", "echo $DAGGER_SESSION_PORT; exit 6"], tmp_path)
    assert done.returncode == 6
    assert int(done.stdout) > 0


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", dagger_shim.__name__, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_EXPERIMENTAL_DAGGER_RUNNER_HOST": "tcp://nowhere:1",
            "STAND_IN_REGISTRY": "x",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_engine_s_address_that_is_set_and_empty_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "")
    with pytest.raises(UsageError, match="runner host"):
        dagger_shim._look_for_engine()
