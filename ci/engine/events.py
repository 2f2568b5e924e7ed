"""What the embedded engine reports while it works, for a live display or a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began.

    Attributes:
        step: Its number in the session; the same in all its events.
        label: What it does: `build Dockerfile`, `publish localhost:5001/app:sha-1a2b3c4`.
    """

    step: int
    label: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended.

    Attributes:
        step: Its number in the session.
        label: What it did.
        seconds: How long it took.
        cached: Whether the result came from the cache.
        error: Why it failed, or empty.
    """

    step: int
    label: str
    seconds: float
    cached: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line of a build's or a command's output, with the session's secrets masked."""

    step: int
    text: str
    stream: Literal["stdout", "stderr"] = "stdout"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know, reported once per session, such as the isolation in use."""

    text: str


Event = StepStarted | StepFinished | OutputLine | Notice

Observer = Callable[[Event], None]
"""Called with each event in the event loop's thread; it must not block."""
