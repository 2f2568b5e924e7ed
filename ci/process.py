"""Child processes: no shell, a time limit each, and nothing left running when a run is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

LineSink = Callable[[str], None]
"""Takes one line of a child's output, without its newline, as it comes."""

_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child process ended.

    Attributes:
        exit_code: Its exit status; negative for the signal that ended it.
        stdout: All it wrote there, decoded as UTF-8 with replacement.
        stderr: The same of its standard error.
    """

    exit_code: int
    stdout: str
    stderr: str


async def run_process(
    command: Sequence[str | os.PathLike[str]],
    *,
    time_limit: float,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: bytes | None = None,
    on_stdout: LineSink | None = None,
    on_stderr: LineSink | None = None,
) -> Completed:
    """Run a command in a process group of its own and wait for its end.

    Args:
        command: The program and its arguments. Secrets do not belong here: use `env`, `stdin` or a file.
        time_limit: Seconds after which the whole group is stopped.
        env: The child's whole environment; the caller's own when None.
        cwd: The folder it runs in.
        stdin: What it reads; it reads nothing when None.
        on_stdout: Told each line of standard output as it comes.
        on_stderr: Told each line of standard error as it comes.

    Returns:
        How it ended. A non-zero exit status is for the caller to judge.

    Raises:
        FileNotFoundError: The program is not there.
        TimeoutError: It did not end in time; its group was stopped.
    """
    process = await anyio.open_process(
        [os.fspath(part) for part in command],
        stdin=DEVNULL if stdin is None else PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    out: list[str] = []
    err: list[str] = []
    try:
        with anyio.fail_after(time_limit):
            async with anyio.create_task_group() as tasks:
                if stdin is not None:
                    tasks.start_soon(_feed, process, stdin)
                tasks.start_soon(_drain, process.stdout, out, on_stdout)
                tasks.start_soon(_drain, process.stderr, err, on_stderr)
            exit_code = await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await stop_group(process)
    return Completed(exit_code, "".join(out), "".join(err))


async def stop_group(process: Process) -> None:
    """Ask a child's process group to end, and end it by force after a grace of five seconds."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with anyio.move_on_after(_GRACE_SECONDS):
            await process.wait()
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()
    await process.aclose()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


async def _feed(process: Process, data: bytes) -> None:
    stream = process.stdin
    if stream is None:
        return
    try:
        await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # the child ended without reading; its exit status tells why
    finally:
        await stream.aclose()


async def _drain(stream: ByteReceiveStream | None, into: list[str], sink: LineSink | None) -> None:
    if stream is None:
        return
    rest = ""
    async for text in TextReceiveStream(stream, errors="replace"):
        into.append(text)
        if sink is None:
            continue
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            sink(line.rstrip("\r"))
    if sink is not None and rest:
        sink(rest)
