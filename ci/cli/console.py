"""Progress and errors on standard error; standard output is for the answer alone."""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import Self, assert_never

from rich.console import Console
from rich.segment import Segment, Segments
from rich.status import Status
from rich.text import Text

from ci.engine.events import Event, Notice, OutputLine, StepFinished, StepStarted
from pipeline.rules.text import one_line

_LONGEST_LINE = 100


class _PipeTolerantConsole(Console):
    """A console that stops printing when its reader goes away (`lr-ci build 2>&1 | head`), so the run continues."""

    def on_broken_pipe(self) -> None:
        """Discard all further output, where Rich would exit in the middle of the work."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def error_console() -> Console:
    """Return the console for progress and errors.

    FORCE_COLOR adds colours to a log, but never a live display.
    """
    return _PipeTolerantConsole(stderr=True, force_interactive=None if sys.stderr.isatty() else False)


def answer_console() -> Console:
    """Return the console for an answer with colours."""
    return Console()


def print_verbatim(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print a line exactly as it is given.

    Rich would replace emoji codes (`y.js:100:1`), obey markup, expand tabs and wrap lines.

    Args:
        console: Where to print it.
        parts: The line in pieces; a piece with a style is a pair of text and style.
    """
    pieces = [(part, "") if isinstance(part, str) else part for part in parts]
    segments = [Segment(text, console.get_style(style)) for text, style in pieces]
    console.print(Segments([*segments, Segment.line()]), soft_wrap=True)


class ConsoleProgress:
    """Shows steps and the engine's output: live on a terminal, as plain lines elsewhere.

    Args:
        console: The console for standard error.
        show_output: Whether a terminal keeps each line of the engine's output, as a log always does.
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
        """Show that a step has started."""
        self._steps.append(step)
        if self._live:
            self._show(Text(step))
        else:
            self._line(f"{step} …")

    def finished(self, step: str, seconds: float) -> None:
        """Show that a step succeeded, and how long it took."""
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
        """Show a message."""
        if self._live:
            self._line(("!", "yellow"), f" {text}")
        else:
            self._line(text)

    def engine_event(self, event: Event) -> None:
        """Show an event of the embedded engine."""
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
        print_verbatim(self._console, *parts)
