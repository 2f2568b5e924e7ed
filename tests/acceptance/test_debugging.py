"""What a developer reaches for: a command in the image, the image as a file, the engine for a program of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.acceptance.command import Command
from tests.acceptance.workspace import Workspace
from tests.preforked import LR_CI

_PROGRAM = """
import anyio, dagger
from dagger import dag

async def main():
    async with dagger.connection():
        folder = dag.host().directory("backend")
        built = folder.docker_build()
        print(await built.with_exec(["cat", "/word"]).stdout(), end="")

anyio.run(main)
"""


def test_a_command_runs_in_the_built_image(lr_ci: Command, workspace: Workspace) -> None:
    run = lr_ci.run(workspace.folder, "shell", "--", "bin/rails", "--version").succeeded()

    assert run.stdout.startswith("Rails 6.1.")
    assert run.stdout.count("\n") == 1


def test_a_log_has_the_output_of_a_command_once(small_lr_ci: Command, small: Workspace) -> None:
    script = ["sh", "-c", "echo to-stdout; echo to-stderr >&2"]
    run = small_lr_ci.run(small.folder, "shell", "--", *script).succeeded()

    assert run.stdout == "to-stdout\n"
    assert not [line for line in run.stderr.splitlines() if line.endswith("| to-stdout")]
    assert len([line for line in run.stderr.splitlines() if line.endswith("| to-stderr")]) == 1


def test_a_log_has_all_output_of_a_command_that_fails(small_lr_ci: Command, small: Workspace) -> None:
    run = small_lr_ci.run(small.folder, "shell", "--", "sh", "-c", "echo one; echo two; echo why >&2; exit 3")

    assert (run.exit_code, run.stdout) == (3, "")
    for line in ("one", "two", "why"):
        assert f"  | {line}" in run.stderr.splitlines()


def test_a_command_that_fails_in_the_image_says_how(small_lr_ci: Command, small: Workspace) -> None:
    run = small_lr_ci.run(small.folder, "shell", "--", "ls", "/no-such-place")

    assert (run.exit_code, run.stdout) == (3, "")
    assert run.error.startswith("`ls /no-such-place` exited with 2 in the image: ")
    assert "No such file or directory" in run.error


def test_a_shell_without_a_terminal_says_what_to_do(small_lr_ci: Command, small: Workspace) -> None:
    run = small_lr_ci.run(small.folder, "shell")

    assert (run.exit_code, run.stdout) == (2, "")
    assert "lr-ci shell -- env" in run.error
    assert len(run.error.splitlines()) <= 2


def test_a_command_in_the_image_runs_each_time(small_lr_ci: Command, small: Workspace) -> None:
    read_clock = ["shell", "--", "cat", "/proc/uptime"]

    first, second = (small_lr_ci.run(small.folder, *read_clock).succeeded() for _ in range(2))

    assert first.stdout != second.stdout
    assert first.stdout not in first.stderr  # printed once, in a log too


def test_a_reader_of_the_messages_may_go_away(small_lr_ci: Command, small: Workspace) -> None:
    small.append("backend/Dockerfile", "RUN cat /proc/version /proc/cpuinfo /proc/meminfo\n")

    command = f"{LR_CI} build 2>&1 >/dev/null | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=small.folder, env=small_lr_ci.environment, check=False, timeout=120
    )

    assert done.returncode == 0


def test_the_image_is_written_as_an_archive(small_lr_ci: Command, small: Workspace, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"

    run = small_lr_ci.run(small.folder, "build", "--output", archive).succeeded()

    assert run.stdout == f"{archive}\n"
    assert tarfile.is_tarfile(archive)
    inspected = subprocess.run(
        ["skopeo", "inspect", f"oci-archive:{archive}"], check=True, capture_output=True, text=True, timeout=60
    )
    assert json.loads(inspected.stdout)["Labels"]["org.opencontainers.image.revision"] == small.head


def test_a_build_alone_answers_with_the_tag_that_it_would_get(small_lr_ci: Command, small: Workspace) -> None:
    run = small_lr_ci.run(small.folder, "build").succeeded()

    assert run.stdout == f"ghcr.io/linkradar/lr-backend:sha-{small.short}\n"


def test_a_program_with_the_sdk_borrows_the_engine(small_lr_ci: Command, base: str, tmp_path: Path) -> None:
    workspace = Workspace.with_dockerfile(tmp_path / "sdk", f"FROM {base}\nRUN echo it works > /word\n")
    environment = small_lr_ci.with_variables(_EXPERIMENTAL_DAGGER_CLI_BIN=str(LR_CI)).environment

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=workspace.folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "it works\n"
