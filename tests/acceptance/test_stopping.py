"""A run that is stopped leaves nothing running, nothing mounted and nothing half-made behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.command import Command, ended
from tests.acceptance.published import Image, writes
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry

_PATIENCE = 60.0


def processes_with(text: str) -> list[int]:
    """Return the processes whose command line has this in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(int(process.name))
    return [number for number in found if number != os.getpid()]


def wait_for_process(text: str) -> None:
    """Wait until a process runs whose command line ends so."""
    deadline = time.monotonic() + _PATIENCE
    while not processes_with(text):
        assert time.monotonic() < deadline, f"nothing runs {text}"
        time.sleep(0.02)


def environments_with(text: str) -> list[int]:
    """Return the processes whose environment has this in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def mounts_below(folder: Path) -> list[str]:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    return [place for place in mounted if Path(place).is_relative_to(folder)]


def containers_of(engine: Path) -> list[object]:
    """Return the working containers of a store, as its own list has them."""
    listed = engine / "store" / "overlay-containers" / "containers.json"
    found: list[object] = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_stopped_leaves_nothing_behind(
    own_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry, number: signal.Signals
) -> None:
    seconds = f"4000.{secrets.randbelow(10**9):09}"
    workspace = Workspace.with_dockerfile(tmp_path / "slow", f"FROM {base}\nRUN touch /begun && sleep {seconds}\n")
    in_memory = set(Path("/dev/shm").iterdir())  # noqa: S108 - only looked at

    process = own_lr_ci.start(workspace.folder, "build-and-push", "--registry", registry.host)
    wait_for_process(f"sleep {seconds} ")
    process.send_signal(number)
    run = ended(process)

    assert (run.exit_code, run.stdout) == (128 + number, "")
    assert run.error == f"Stopped by {number.name}; what was running is cleaned up."
    assert "Traceback" not in run.stderr
    assert processes_with(seconds) == []
    assert environments_with(str(own_lr_ci.cache)) == []
    assert mounts_below(own_lr_ci.cache) == []
    assert containers_of(own_lr_ci.engine_folder) == []
    assert list((own_lr_ci.engine_folder / "sessions").iterdir()) == []
    assert not {path for path in Path("/dev/shm").iterdir() if f"s{process.pid}-" in path.name} - in_memory  # noqa: S108
    assert writes(registry.requests()) == []

    workspace.write("backend/Dockerfile", f"FROM {base}\nRUN touch /begun\n")
    workspace.commit("Wait no longer")
    after = own_lr_ci.run(workspace.folder, "build-and-push", "--registry", registry.host).succeeded()
    assert Image(registry).digest("master") == after.stdout.strip()


def test_a_killed_run_is_cleaned_up_by_the_next(
    own_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry
) -> None:
    seconds = f"4000.{secrets.randbelow(10**9):09}"
    workspace = Workspace.with_dockerfile(tmp_path / "slow", f"FROM {base}\nRUN sleep {seconds}\n")
    process = own_lr_ci.start(workspace.folder, "build-and-push", "--registry", registry.host)
    wait_for_process(f"sleep {seconds} ")
    process.kill()
    ended(process)

    workspace.write("backend/Dockerfile", f"FROM {base}\nRUN touch /built\n")
    workspace.commit("Wait no longer")
    own_lr_ci.run(workspace.folder, "build-and-push", "--registry", registry.host).succeeded()

    assert processes_with(seconds) == []
    assert mounts_below(own_lr_ci.cache) == []
    assert containers_of(own_lr_ci.engine_folder) == []
    assert list((own_lr_ci.engine_folder / "sessions").iterdir()) == []
