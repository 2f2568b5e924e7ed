"""What a person sees on standard error while a run goes on; standard output is for the answer alone."""

from __future__ import annotations

from collections import deque
from typing import Self, assert_never

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from ci.engine.events import Event, Notice, OutputLine, StepFinished, StepStarted
from pipeline.output import one_line

_LONGEST_LINE = 100


def error_console() -> Console:
    """Return the console for progress and errors."""
    return Console(stderr=True)


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
        self._live = console.is_terminal
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
            self._show(step)
        else:
            self._line(f"{step} …")

    def finished(self, step: str, seconds: float) -> None:
        """Show that a step ended well, and how long it took."""
        if step in self._steps:
            self._steps.remove(step)
        self._line(f"[green]✓[/] {escape(step)} [dim]{seconds:.1f} s[/]" if self._live else f"{step}: {seconds:.1f} s")
        if self._live:
            self._show(self._steps[-1] if self._steps else "")

    def notice(self, text: str) -> None:
        """Show something that a person should know."""
        self._line(f"[yellow]![/] {escape(text)}" if self._live else text)

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
                    self._line(f"  [dim]{escape(one_line(text))}[/]" if self._live else f"  | {one_line(text)}")
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
            self._show(f"{self._steps[-1]} [dim]{escape(one_line(text)[:_LONGEST_LINE])}[/]")

    def _show(self, text: str) -> None:
        if not text:
            self.close()
        elif self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def _line(self, text: str) -> None:
        self._console.print(text, markup=self._live, highlight=False, soft_wrap=True)
