from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import typer
from rich.console import Console

from ci.cli.lifecycle import run_command
from pipeline.rules.errors import AuthError, BuildError, GuardError, PipelineError, RegistryError, UsageError

ROOT = Path(__file__).parents[3]

SLEEPER = """
    import sys, anyio, typer
    from rich.console import Console
    from ci.cli.lifecycle import run_command
    from pipeline.rules.errors import PipelineError

    async def command():
        try:
            print("begun", flush=True)
            await anyio.sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                {cleanup}
                print("cleaned up", flush=True)

    try:
        run_command(command, Console(stderr=True), debug={debug})
    except typer.Exit as left:
        sys.exit(left.exit_code)
"""


class Sleeper:
    """A command in a process of its own that sleeps until a signal comes."""

    def __init__(self, cleanup: str = "pass", *, debug: bool = False, hangup: signal.Handlers = signal.SIG_DFL) -> None:
        code = textwrap.dedent(SLEEPER).format(cleanup=cleanup, debug=debug)
        with hangup_handled(hangup):  # a child inherits it, and the tests themselves may run under nohup
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
            )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "begun\n":
            pytest.fail(f"it did not begin: {self.end()}")

    def send(self, *numbers: int) -> None:
        for number in numbers:
            os.kill(self.process.pid, number)
            time.sleep(0.1)

    def end(self) -> tuple[int, str, str]:
        try:
            out, err = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, out, err


@contextmanager
def hangup_handled(how: signal.Handlers) -> Iterator[None]:
    """Have this process take SIGHUP in one way for the length of a block."""
    before = signal.signal(signal.SIGHUP, how)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def left_with(error: BaseException | None, *, debug: bool = False) -> tuple[int, str]:
    """Run a command that raises, and return its exit code and what standard error showed."""
    console = Console(width=40, color_system=None)

    async def command() -> None:
        await anyio.lowlevel.checkpoint()
        if error is not None:
            raise error

    code = 0
    with console.capture() as captured:
        try:
            run_command(command, console, debug=debug)
        except typer.Exit as left:
            code = left.exit_code
    return code, captured.get()


def test_a_command_that_ends_well_says_nothing() -> None:
    assert left_with(None) == (0, "")


@pytest.mark.parametrize(
    ("kind", "code"), [(UsageError, 2), (BuildError, 3), (AuthError, 4), (RegistryError, 5), (GuardError, 6)]
)
def test_an_error_of_the_pipeline_leaves_with_its_code_and_its_two_lines(kind: type[PipelineError], code: int) -> None:
    long = "The tag [bold]v1.2.3[/] of ghcr.io/linkradar/lr-backend names another image."
    assert left_with(kind(long, hint="Do [this].")) == (code, f"error: {long}\nDo [this].\n")


def test_an_error_without_a_hint_has_one_line() -> None:
    assert left_with(UsageError("No.")) == (2, "error: No.\n")


def test_an_error_in_a_group_is_the_first_that_happened() -> None:
    inner = ExceptionGroup("inner", [UsageError("This."), KeyError("that")])
    assert left_with(ExceptionGroup("outer", [inner])) == (2, "error: This.\n")


def test_an_unexpected_error_is_a_bug_and_says_how_to_see_more() -> None:
    code, text = left_with(KeyError("[red]key"))
    assert code == 1
    assert (
        text == "error: Internal error: KeyError: '[red]key'\nPlease report it with the traceback that --debug shows.\n"
    )


@pytest.mark.parametrize(("error", "code"), [(KeyError("key"), 1), (UsageError("No."), 2)])
def test_debug_shows_where_any_error_came_from(error: Exception, code: int) -> None:
    found, text = left_with(error, debug=True)
    assert found == code
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in command" in text
    assert "--debug" not in text
    assert text.count("error: ") >= 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("debug", [False, True])
def test_a_signal_stops_the_command_after_its_cleanup(number: signal.Signals, code: int, *, debug: bool) -> None:
    sleeper = Sleeper(debug=debug)
    sleeper.send(number)
    assert sleeper.end() == (
        code,
        "cleaned up\n",
        f"error: Stopped by {number.name} and cleaned up.\n",
    )


def test_a_command_that_was_told_to_outlive_its_terminal_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SLEEPER", SLEEPER.replace("sleep(60)", "sleep(1)"))
    sleeper = Sleeper(hangup=signal.SIG_IGN)  # as nohup leaves it to the command
    sleeper.send(signal.SIGHUP)
    assert sleeper.end() == (0, "cleaned up\n", "")


def test_more_signals_do_not_stop_the_cleanup() -> None:
    # GitHub's runner sends SIGINT to a job that is cancelled and SIGTERM seven seconds later.
    sleeper = Sleeper("await anyio.sleep(1)")
    sleeper.send(signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    assert sleeper.end() == (130, "cleaned up\n", "error: Stopped by SIGINT and cleaned up.\n")


@pytest.mark.parametrize("error", ["KeyError('late')", "PipelineError('late')"])
def test_what_goes_wrong_while_a_command_is_stopped_does_not_hide_that_it_was(error: str) -> None:
    sleeper = Sleeper(f"raise {error}")
    sleeper.send(signal.SIGTERM)
    code, out, err = sleeper.end()
    assert (code, out) == (143, "")
    assert err.splitlines()[0] == "error: Stopped by SIGTERM, but the cleanup failed."
    assert "late" in err


def test_a_command_that_does_not_stop_for_a_signal_still_says_that_one_came() -> None:
    sleeper = Sleeper("await anyio.sleep(0.2)")
    sleeper.send(signal.SIGTERM)
    assert sleeper.end()[0] == 143
