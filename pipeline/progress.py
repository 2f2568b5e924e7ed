"""What a run tells while it goes on, and how long its steps took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pipeline.rules.report import StepReport


class Progress(Protocol):
    """Is told what happens; shows it as it likes."""

    def started(self, step: str) -> None:
        """Take note that a step begins."""

    def finished(self, step: str, seconds: float) -> None:
        """Take note that a step ended well."""

    def notice(self, text: str) -> None:
        """Take note of something that a person should know."""


class PlainProgress:
    """Writes one line to standard error for each thing that happens."""

    def started(self, step: str) -> None:
        """Say that a step begins."""
        _write(f"{step} …")

    def finished(self, step: str, seconds: float) -> None:
        """Say how long a step took."""
        _write(f"{step} done in {seconds:.1f} s")

    def notice(self, text: str) -> None:
        """Say what a person should know."""
        _write(text)


class Steps:
    """Times the steps of a run and tells a progress of them.

    Args:
        progress: Who is told.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._finished: list[StepReport] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside; a step that fails is not reported."""
        self.progress.started(name)
        begin = time.monotonic()
        yield
        seconds = time.monotonic() - begin
        self._finished.append(StepReport(name=name, seconds=round(seconds, 3)))
        self.progress.finished(name, seconds)

    @property
    def finished(self) -> tuple[StepReport, ...]:
        """The steps so far, in the order they ended."""
        return tuple(self._finished)


def _write(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
