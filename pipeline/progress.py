"""Progress messages of a run, and the durations of its steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pipeline.rules.report import StepReport


class Progress(Protocol):
    """Shows the progress of a run."""

    def started(self, step: str) -> None:
        """Show that a step has started."""

    def finished(self, step: str, seconds: float) -> None:
        """Show that a step succeeded."""

    def notice(self, text: str) -> None:
        """Show a message."""


class PlainProgress:
    """Writes one line to standard error for each event."""

    def started(self, step: str) -> None:
        """Write that a step has started."""
        _write(f"{step} …")

    def finished(self, step: str, seconds: float) -> None:
        """Write how long a step took."""
        _write(f"{step} done in {seconds:.1f} s")

    def notice(self, text: str) -> None:
        """Write a message."""
        _write(text)


class Steps:
    """Times the steps of a run.

    Args:
        progress: Shows them.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._finished: list[StepReport] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block; a step that fails is not part of the report."""
        self.progress.started(name)
        begin = time.monotonic()
        yield
        seconds = time.monotonic() - begin
        self._finished.append(StepReport(name=name, seconds=round(seconds, 3)))
        self.progress.finished(name, seconds)

    @property
    def finished(self) -> tuple[StepReport, ...]:
        """The steps so far, in the order in which they ended."""
        return tuple(self._finished)


def _write(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
