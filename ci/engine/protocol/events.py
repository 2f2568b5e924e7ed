"""What the embedded engine tells while it works, for a live display or a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A piece of work began.

    Attributes:
        step: Its number in the session; the same in all its events.
        label: What it is, for a person: `build Dockerfile`, `publish localhost:5001/app:sha-1a2b3c4`.
    """

    step: int
    label: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A piece of work ended.

    Attributes:
        step: Its number in the session.
        label: What it was.
        seconds: How long it took.
        cached: It needed no work, since a store held its result.
        error: Why it failed, or empty.
    """

    step: int
    label: str
    seconds: float
    cached: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line that a build or a command wrote, with the session's secrets masked."""

    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know once a session, such as which isolation is used."""

    text: str


Event = StepStarted | StepFinished | OutputLine | Notice


class Observer(Protocol):
    """Is told what happens, in the event loop's thread; it must not block."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
