"""Child processes without a shell, each with a time limit, and none left running when a run is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from ci.system.process_identity import PROCESSES, running_process
from pipeline.concurrency import first_error

LineSink = Callable[[str], None]
"""Called with each line of a child's output as it is written, without its newline."""

_PLAIN_VARIABLES = (
    *(
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "LC_CTYPE",
        "LC_MESSAGES",
        "TERM",
        "TMPDIR",
        "TZ",
    ),
    *("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)

POLL_SECONDS = 0.02
"""Seconds between two checks of a process."""

_GRACE_SECONDS = 5.0
_LEAST_BYTES = 256
"""What counts as progress: a request is longer, what a language's runtime tells itself is not."""

_SAMPLES = 8


def plain_environment(*more: str) -> dict[str, str]:
    """Return the variables of this process that a child gets: those that everybody needs, and never a secret.

    A token can be in a variable of any name, so the list is of what is passed on.

    Args:
        more: Further variables that the child needs.
    """
    return {name: os.environ[name] for name in (*_PLAIN_VARIABLES, *more) if name in os.environ}


class OutputLimitError(Exception):
    """A child wrote more than it may."""


class StalledError(TimeoutError):
    """A child made no progress."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child process ended.

    Attributes:
        exit_code: Its exit status; negative for the signal that ended it.
        stdout: Its standard output, decoded as UTF-8 with replacement.
        stderr: Its standard error, decoded in the same way.
    """

    exit_code: int
    stdout: str
    stderr: str


async def run_process(
    command: Sequence[str | os.PathLike[str]],
    *,
    time_limit: float,
    stall_limit: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: bytes | None = None,
    on_stdout: LineSink | None = None,
    on_stderr: LineSink | None = None,
    output_limit: int | None = None,
) -> Completed:
    """Run a command in its own process group and wait for it to end.

    Args:
        command: The program and its arguments. Never secrets: pass those in `env`, `stdin` or a file.
        time_limit: Seconds after which the whole group is stopped.
        stall_limit: Seconds without reading or writing after which it is stopped as well; only Linux tells.
        env: The child's whole environment; `plain_environment` if None.
        cwd: The working directory.
        stdin: Its standard input; empty if None.
        on_stdout: Called with each line of standard output as it is written.
        on_stderr: Called with each line of standard error as it is written.
        output_limit: How many characters it may write to each of both; any number if None.

    Returns:
        How it ended, whatever its exit status. Background processes that it left keep running.

    Raises:
        FileNotFoundError: The program or the working directory does not exist.
        TimeoutError: It did not end in time, or a process that it left kept its output open; its group was stopped.
        StalledError: It read and wrote next to nothing for too long; its group was stopped.
        StalledError: It read and wrote nothing for too long; its group was stopped.
        OutputLimitError: It wrote more than the limit; its group was stopped.
    """
    # Shielded, or a child that was started while the caller is cancelled would never be stopped.
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            [os.fspath(part) for part in command],
            stdin=DEVNULL if stdin is None else PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=plain_environment() if env is None else env,
            cwd=cwd,
            start_new_session=True,
        )
    out: list[str] = []
    err: list[str] = []
    ended = False
    try:
        with anyio.fail_after(time_limit):
            async with anyio.create_task_group() as watch:
                if stall_limit is not None:
                    watch.start_soon(_watch, process.pid, stall_limit)
                async with anyio.create_task_group() as tasks:
                    if stdin is not None:
                        tasks.start_soon(_feed, process, stdin)
                    tasks.start_soon(_drain, process.stdout, out, on_stdout, output_limit)
                    tasks.start_soon(_drain, process.stderr, err, on_stderr, output_limit)
                exit_code = await process.wait()
                watch.cancel_scope.cancel()
        ended = True
    except BaseExceptionGroup as group:
        raise first_error(group) from group
    finally:
        with anyio.CancelScope(shield=True):
            await (process.aclose() if ended else stop_group(process))
    return Completed(exit_code, "".join(out), "".join(err))


async def stop_group(process: Process) -> None:
    """Terminate the process group of a child, and kill what is left after five seconds."""
    with anyio.move_on_after(_GRACE_SECONDS):
        if _signal_group(process.pid, signal.SIGTERM):
            await process.wait()
        while True:
            if not _group_runs(process.pid):
                break
            await anyio.sleep(POLL_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()
    await process.aclose()


def _signal_group(pid: int, number: int) -> bool:
    """Send a signal to a group, or only look for it if the number is 0, and return whether it has a process."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: a group of zombies on macOS
        return False
    return True


def _group_runs(group: int) -> bool:
    """Return whether a process of a group is still running; a zombie is not."""
    if not _signal_group(group, 0):
        return False
    if not PROCESSES.is_dir():
        return True
    running = (running_process(int(entry.name)) for entry in PROCESSES.iterdir() if entry.name.isdigit())
    return any(process is not None and process.group == group for process in running)


async def _watch(pid: int, limit: float) -> None:
    """Raise an error once a process has moved nothing for so many seconds, between files, connections and pipes."""
    seen, since = _bytes_moved(pid), anyio.current_time()
    while seen is not None:
        await anyio.sleep(limit / _SAMPLES)
        moved, now = _bytes_moved(pid), anyio.current_time()
        if moved is None:
            return
        if moved - seen >= _LEAST_BYTES:
            seen, since = moved, now
        elif now - since >= limit:
            msg = f"no progress in {limit:.0f} s"
            raise StalledError(msg)


def _bytes_moved(pid: int) -> int | None:
    """Return how many bytes a process has read and written (proc(5), `/proc/PID/io`), or None if that is not known."""
    try:
        lines = (PROCESSES / str(pid) / "io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return sum(int(line.partition(":")[2]) for line in lines if line.startswith(("rchar:", "wchar:")))


async def _feed(process: Process, data: bytes) -> None:
    stream = process.stdin
    if stream is None:
        return
    try:
        await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # the child ended without reading; its exit status shows why
    finally:
        await stream.aclose()


async def _drain(stream: ByteReceiveStream | None, into: list[str], sink: LineSink | None, limit: int | None) -> None:
    if stream is None:
        return
    begun: list[str] = []
    length = 0
    async for text in TextReceiveStream(stream, errors="replace"):
        into.append(text)
        length += len(text)
        if limit is not None and length > limit:
            msg = f"more than {limit} characters of output"
            raise OutputLimitError(msg)
        if sink is None:
            continue
        first, *more = text.split("\n")
        begun.append(first)
        for part in more:
            sink("".join(begun).rstrip("\r"))
            begun = [part]
    if sink is not None and any(begun):
        sink("".join(begun).rstrip("\r"))
