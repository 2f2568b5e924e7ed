"""What a person sees on standard error while a run goes on; standard output is for the answer alone."""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import Self, assert_never

from rich.console import Console
from rich.status import Status
from rich.text import Text

from ci.engine.events import Event, Notice, OutputLine, StepFinished, StepStarted
from pipeline.rules.text import one_line

_LONGEST_LINE = 100


class _PipeTolerantConsole(Console):
    """A console whose reader may go away (`lr-ci build 2>&1 | head`): the run goes on, and says no more."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on, in place of ending the process in the middle of its work."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def error_console() -> Console:
    """Return the console for progress and errors.

    FORCE_COLOR gives a log its colours; it does not make it a terminal, where a live display could be.
    """
    return _PipeTolerantConsole(stderr=True, force_interactive=None if sys.stderr.isatty() else False)


def answer_console() -> Console:
    """Return the console for an answer that is a table."""
    return Console()


class ConsoleProgress:
    """Shows steps and the engine's output: live on a terminal, as plain lines elsewhere.

    Args:
        console: Where it writes; standard error.
        show_output: Whether each line of the engine's output stays on a terminal too.
    """

    def __init__(self, console: Console, *, show_output: bool) -> None:
        self._console = console
        self._live = console.is_interactive
        self._show_output = show_output or not self._live
        self._status: Status | None = None
        self._steps: deque[str] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def started(self, step: str) -> None:
        """Show that a step begins."""
        self._steps.append(step)
        if self._live:
            self._show(Text(step))
        else:
            self._line(f"{step} …")

    def finished(self, step: str, seconds: float) -> None:
        """Show that a step ended well, and how long it took."""
        if step in self._steps:
            self._steps.remove(step)
        if not self._live:
            self._line(f"{step}: {seconds:.1f} s")
            return
        self._line(("✓", "green"), f" {step} ", (f"{seconds:.1f} s", "dim"))
        if self._steps:
            self._show(Text(self._steps[-1]))
        else:
            self.close()

    def notice(self, text: str) -> None:
        """Show something that a person should know."""
        if self._live:
            self._line(("!", "yellow"), f" {text}")
        else:
            self._line(text)

    def engine_event(self, event: Event) -> None:
        """Show what the embedded engine tells."""
        match event:
            case StepStarted(label=label):
                self._detail(label)
            case StepFinished():
                return
            case OutputLine(text=text):
                self._detail(text)
                if self._show_output:
                    self._line("  " if self._live else "  | ", (one_line(text), "dim"))
            case Notice(text=text):
                self.notice(text)
            case _:
                assert_never(event)

    def close(self) -> None:
        """End the live display."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _detail(self, text: str) -> None:
        if self._live and self._steps and text.strip():
            self._show(Text.assemble(f"{self._steps[-1]} ", (one_line(text)[:_LONGEST_LINE], "dim")))

    def _show(self, text: Text) -> None:
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def _line(self, *parts: str | tuple[str, str]) -> None:
        # Not markup: a name or an output line may hold anything.
        self._console.print(Text.assemble(*parts), soft_wrap=True)
