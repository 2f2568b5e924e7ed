"""Runs a command: signals stop it cleanly, errors become a message and an exit code."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import typer
from rich.console import Console

from ci import deferred
from ci.cli.console import print_verbatim
from ci.cli.early_signals import BY_SIGNAL, stopping_signals
from pipeline.concurrency import first_error
from pipeline.rules.errors import PipelineError
from pipeline.rules.exit_codes import ExitCode


class _InterruptedError(Exception):
    """A signal stopped the command.

    Args:
        number: The signal.
        problem: The error that was raised while the command was being stopped, or None.
    """

    def __init__(self, number: int, problem: BaseException | None = None) -> None:
        super().__init__(number)
        self.number = number
        self.problem = problem

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        if self.problem is None:
            return f"Stopped by {name} and cleaned up."
        return f"Stopped by {name}, but the cleanup failed.\n{type(self.problem).__name__}: {self.problem}"


def run_command(command: Callable[[], Awaitable[int | None]], console: Console, *, debug: bool) -> None:
    """Run a command and exit with its exit code.

    Args:
        command: What to run; it is cancelled when a signal stops it. It may return an exit code, if it told why.
        console: The console for errors.
        debug: Whether to show tracebacks.

    Raises:
        typer.Exit: The command failed; with its exit code.
    """
    try:
        code = anyio.run(_until_signal, command)
    except BaseException as raised:  # noqa: BLE001 - the last resort; what is not shown is raised again
        error = first_error(raised) if isinstance(raised, BaseExceptionGroup) else raised
        if debug:
            _show_traceback(error, console)
        raise typer.Exit(_show(error, console, debug=debug)) from error
    if code:
        raise typer.Exit(code)


def _show_traceback(error: BaseException, console: Console) -> None:
    cause = error.problem if isinstance(error, _InterruptedError) else error
    if isinstance(cause, Exception):
        print_verbatim(console, "".join(traceback.format_exception(cause)))


def _show(error: BaseException, console: Console, *, debug: bool) -> int:
    match error:
        case PipelineError():
            text, code = str(error), int(error.exit_code)
        case _InterruptedError(number=number):
            text, code = str(error), BY_SIGNAL + number
        case KeyboardInterrupt():
            text, code = "Stopped.", BY_SIGNAL + signal.SIGINT
        case Exception():
            hint = "" if debug else "\nPlease report it with the traceback that --debug shows."
            text, code = f"Internal error: {type(error).__name__}: {error}{hint}", int(ExitCode.BUG)
        case _:
            raise error
    print_verbatim(console, (f"error: {text}", "red"))
    return code


async def _until_signal(command: Callable[[], Awaitable[int | None]]) -> int | None:
    caught: list[int] = []
    code: int | None = None
    # Open until the command has ended, so that a second signal cannot interrupt its cleanup.
    with _kept_handlers(), anyio.open_signal_receiver(*stopping_signals()) as signals:
        try:
            async with anyio.create_task_group() as tasks:

                async def watch() -> None:
                    async for number in signals:
                        caught.append(number)
                        tasks.cancel_scope.cancel()

                tasks.start_soon(watch)
                await deferred.remove_leftovers()
                code = await command()
                tasks.cancel_scope.cancel()
        except BaseException as raised:
            if not caught:
                raise
            problem = first_error(raised) if isinstance(raised, BaseExceptionGroup) else raised
            raise _InterruptedError(caught[0], problem) from raised
    if caught:
        raise _InterruptedError(caught[0])
    return code


@contextmanager
def _kept_handlers() -> Iterator[None]:
    """Set the handlers of signals again that were set before the block, as asyncio sets Python's own at its end."""
    before = {number: signal.getsignal(number) for number in stopping_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
