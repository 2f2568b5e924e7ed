"""How a command runs: signals stop it cleanly, errors become a message and an exit code."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Awaitable, Callable

import anyio
import typer
from rich.console import Console

from ci.cli.console import print_verbatim
from pipeline.concurrency import first_error
from pipeline.rules.errors import ExitCode, PipelineError

_BY_SIGNAL = 128


class _InterruptedError(Exception):
    """A signal asked the command to stop.

    Args:
        number: Which one.
        problem: What went wrong while the command was stopped, or None.
    """

    def __init__(self, number: int, problem: BaseException | None = None) -> None:
        super().__init__(number)
        self.number = number
        self.problem = problem

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        if self.problem is None:
            return f"Stopped by {name}; what was running is cleaned up."
        return f"Stopped by {name}, and stopping failed.\n{type(self.problem).__name__}: {self.problem}"


def run_command(command: Callable[[], Awaitable[None]], console: Console, *, debug: bool) -> None:
    """Run a command to its end and leave with its exit code.

    Args:
        command: What to do; whatever it opened is closed again when a signal stops it.
        console: Where errors are shown; standard error.
        debug: Whether an error shows its traceback.

    Raises:
        typer.Exit: With the exit code, where that is not 0.
    """
    try:
        anyio.run(_until_signal, command)
    except BaseException as raised:  # noqa: BLE001 - the last resort; what is not shown is raised again
        error = first_error(raised) if isinstance(raised, BaseExceptionGroup) else raised
        if debug:
            _show_traceback(error, console)
        raise typer.Exit(_show(error, console, debug=debug)) from error


def _show_traceback(error: BaseException, console: Console) -> None:
    cause = error.problem if isinstance(error, _InterruptedError) else error
    if isinstance(cause, Exception):
        print_verbatim(console, "".join(traceback.format_exception(cause)))


def _show(error: BaseException, console: Console, *, debug: bool) -> int:
    match error:
        case PipelineError():
            text, code = str(error), int(error.exit_code)
        case _InterruptedError(number=number):
            text, code = str(error), _BY_SIGNAL + number
        case KeyboardInterrupt():
            text, code = "Stopped.", _BY_SIGNAL + signal.SIGINT
        case Exception():
            hint = "" if debug else "\nRun it again with --debug for the traceback, and report it."
            text, code = f"This is a bug: {type(error).__name__}: {error}{hint}", int(ExitCode.BUG)
        case _:
            raise error
    print_verbatim(console, (f"error: {text}", "red"))
    return code


async def _until_signal(command: Callable[[], Awaitable[None]]) -> None:
    caught: list[int] = []
    # Open until the command has ended: a second signal must not cut its cleanup short.
    with anyio.open_signal_receiver(*_stopping_signals()) as signals:
        try:
            async with anyio.create_task_group() as tasks:

                async def watch() -> None:
                    async for number in signals:
                        caught.append(number)
                        tasks.cancel_scope.cancel()

                tasks.start_soon(watch)
                await command()
                tasks.cancel_scope.cancel()
        except BaseException as raised:
            if not caught:
                raise
            problem = first_error(raised) if isinstance(raised, BaseExceptionGroup) else raised
            raise _InterruptedError(caught[0], problem) from raised
    if caught:
        raise _InterruptedError(caught[0])


def _stopping_signals() -> list[signal.Signals]:
    """Return the signals that stop a command; a terminal that closes is one, unless `nohup` stands before it."""
    lost_terminal = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *lost_terminal]
