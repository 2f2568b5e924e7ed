"""A run that is stopped leaves nothing running, nothing mounted and nothing half-made behind."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.command import Command, ended
from tests.acceptance.leftovers import left_behind
from tests.acceptance.published import Image, writes
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry

_PATIENCE = 60.0


def commands_running() -> list[list[str]]:
    """Return the words of every process's command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace").rstrip("\0").split("\0"))
        except OSError:
            continue
    return found


def is_asleep(seconds: str) -> bool:
    """Tell whether `sleep` itself runs, and not only what starts it."""
    return any(Path(words[0]).name == "sleep" and words[1:] == [seconds] for words in commands_running())


def start_until_asleep(lr_ci: Command, folder: Path, seconds: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a command and wait until it has started `sleep`."""
    process = lr_ci.start(folder, *arguments)
    deadline = time.monotonic() + _PATIENCE
    while not is_asleep(seconds):
        if time.monotonic() > deadline or process.poll() is not None:
            process.terminate()
            pytest.fail(f"nothing sleeps: {ended(process)}")
        time.sleep(0.02)
    return process


def assert_nothing_left(lr_ci: Command, pid: int, seconds: str) -> None:
    """No process, no mount, no working container and no folder is left."""
    assert not [words for words in commands_running() if any(seconds in word for word in words)]
    assert left_behind(lr_ci, pid) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_stopped_leaves_nothing_behind(
    own_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry, number: signal.Signals
) -> None:
    seconds = f"4000.{secrets.randbelow(10**9):09}"
    workspace = Workspace.with_dockerfile(tmp_path / "slow", f"FROM {base}\nRUN touch /begun && sleep {seconds}\n")

    arguments = ("build-and-push", "--registry", registry.host)
    process = start_until_asleep(own_lr_ci, workspace.folder, seconds, *arguments)
    process.send_signal(number)
    run = ended(process)

    assert (run.exit_code, run.stdout) == (128 + number, "")
    assert run.error == f"Stopped by {number.name} and cleaned up."
    assert "Traceback" not in run.stderr
    assert_nothing_left(own_lr_ci, process.pid, seconds)
    assert writes(registry.requests()) == []

    workspace.write("backend/Dockerfile", f"FROM {base}\nRUN touch /begun\n")
    workspace.commit("Wait no longer")
    after = own_lr_ci.run(workspace.folder, "build-and-push", "--registry", registry.host).succeeded()
    assert Image(registry).digest("master") == after.stdout.strip()


def test_a_killed_run_is_cleaned_up_by_the_next_command(
    own_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry
) -> None:
    seconds = f"4000.{secrets.randbelow(10**9):09}"
    workspace = Workspace.with_dockerfile(tmp_path / "slow", f"FROM {base}\nRUN sleep {seconds}\n")
    arguments = ("build-and-push", "--registry", registry.host)
    process = start_until_asleep(own_lr_ci, workspace.folder, seconds, *arguments)
    process.kill()
    ended(process)

    own_lr_ci.run(workspace.folder, "plan").succeeded()
    assert_nothing_left(own_lr_ci, process.pid, seconds)

    workspace.write("backend/Dockerfile", f"FROM {base}\nRUN touch /built\n")
    workspace.commit("Wait no longer")
    own_lr_ci.run(workspace.folder, "build-and-push", "--registry", registry.host).succeeded()

    assert_nothing_left(own_lr_ci, process.pid, seconds)


def test_a_command_in_the_image_that_is_stopped_leaves_nothing_behind(own_lr_ci: Command, small: Workspace) -> None:
    seconds = f"4000.{secrets.randbelow(10**9):09}"
    process = start_until_asleep(own_lr_ci, small.folder, seconds, "shell", "--", "sleep", seconds)
    process.terminate()
    run = ended(process)

    assert (run.exit_code, run.stdout) == (143, "")
    assert run.error == "Stopped by SIGTERM and cleaned up."
    assert_nothing_left(own_lr_ci, process.pid, seconds)
