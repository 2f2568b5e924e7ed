"""Runs commands in containers: one command, whose changes become an image, or a shell on a terminal."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from anyio import to_thread

from ci.engine.errors import ExecFailedError, QueryFailedError
from ci.engine.store.buildah import COMMAND_SECONDS, Buildah, essence
from ci.engine.store.containers import ContainerState, ExecResult
from ci.engine.store.isolation import Runner
from ci.engine.store.rooted_paths import resolve_below
from ci.system.processes import LineSink

_FULL = "no space left on device"
_TRAILER = re.compile(
    r"(?:subprocess exited (?:with status \d+|on \w+)\n)*Error: (?:while running runtime: )?exit status (\d+)\s*$"
)
_NOT_STARTED = re.compile(
    r"exec: \\?\"(?P<program>[^\"\\]+)\\?\": "
    r"(?P<why>[^\"\n]*(?:not found|no such file|permission denied)[^\"\n]*?)(?=\"|process|\n|$)",
    re.IGNORECASE,
)
_PERMISSION_DENIED = 126
_NOT_FOUND = 127


async def run_command(
    buildah: Buildah,
    runner: Runner,
    state: ContainerState,
    args: Sequence[str],
    *,
    on_stdout: LineSink,
    on_stderr: LineSink,
    scrub: Callable[[str], str],
) -> ContainerState:
    """Run a command in a container and return the container after it.

    Args:
        buildah: The builder.
        runner: What isolates the command.
        state: The container.
        args: The program and its arguments.
        on_stdout: Called with each line of standard output.
        on_stderr: Called with each line of standard error.
        scrub: Masks secrets.

    Raises:
        ExecFailedError: The command failed.
        QueryFailedError: It could not be started.
    """

    def take_error(line: str) -> None:
        if not _TRAILER.search(line) and not line.startswith("subprocess exited "):
            on_stderr(line)

    async with _working_container(buildah, state) as (name, options):
        done = await buildah.call(
            "run", "--terminal=false", *runner.arguments, *options, name, "--", *args,
            time_limit=COMMAND_SECONDS, environment=buildah.storage.environment(temporary=buildah.folders.private),
            stdin=b"", on_stdout=on_stdout, on_stderr=take_error,
        )  # fmt: skip
        exit_code, stderr = _outcome(done.exit_code, done.stderr)
        result = ExecResult(scrub(done.stdout), scrub(stderr))
        if exit_code != 0:
            raise ExecFailedError([scrub(arg) for arg in args], exit_code, stdout=result.stdout, stderr=result.stderr)
        image = await buildah.commit(name)
    return replace(state, image=image, last_exec=result)


async def run_terminal(
    buildah: Buildah, runner: Runner, state: ContainerState, args: Sequence[str], terminal: int
) -> None:
    """Run a command on a terminal until it ends.

    Args:
        buildah: The builder.
        runner: What isolates the command.
        state: The container.
        args: The program and its arguments.
        terminal: The file descriptor of the terminal.
    """
    async with _working_container(buildah, state) as (name, options):
        # Not `run_process`: the command needs the terminal itself, and has no time limit.
        process = await anyio.open_process(
            ["buildah", "run", "--terminal=true", *runner.arguments, *options, name, "--", *args],
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.STDOUT,
            # A short path: it is the directory of the terminal's socket, whose path is limited to 108 bytes.
            env=buildah.storage.environment(temporary=buildah.folders.private),
            cwd=buildah.folders.own,
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
            with anyio.CancelScope(shield=True):
                await process.wait()
                await process.aclose()


@asynccontextmanager
async def _working_container(buildah: Buildah, state: ContainerState) -> AsyncIterator[tuple[str, list[str]]]:
    """Provide the name of a mounted working container, and the options for the user, directory and variables."""
    config = state.config
    workdir = config.workdir or "/"
    options = ["--user", config.user or "0", "--workingdir", workdir]
    for variable, value in config.env.items():
        options += ["--env", f"{variable}={value}"]
    async with buildah.container(state.image) as name, buildah.root(name) as root:
        await to_thread.run_sync(lambda: resolve_below(root, workdir).mkdir(parents=True, exist_ok=True))
        yield name, options


def _outcome(exit_code: int, stderr: str) -> tuple[int, str]:
    """Return the exit code and the standard error of a command, from those of buildah.

    Raises:
        QueryFailedError: The command was not started, for a reason other than the command.
    """
    if exit_code == 0:
        return 0, stderr
    if found := _NOT_STARTED.search(stderr):
        code = _PERMISSION_DENIED if "permission" in found["why"].lower() else _NOT_FOUND
        return code, f'exec: "{found["program"]}": {found["why"]}\n'
    trailer = _TRAILER.search(stderr)
    if trailer is not None:
        return int(trailer[1]), stderr[: trailer.start()]
    if _FULL in stderr.lower():
        msg = f"{_FULL}: {essence(stderr)}"
        raise QueryFailedError(msg, hint="Free some space, or set XDG_CACHE_HOME to a directory with more.")
    raise QueryFailedError(essence(stderr) or f"buildah run failed: exit code {exit_code}")
