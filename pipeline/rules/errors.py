"""The errors of a run: one base, a subclass and an exit code for each kind.

A message says what happened and to which reference; `hint` says what to do next. Neither ever holds a secret.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the command line answers with when a run ends."""

    OK = 0
    BUG = 1
    USAGE = 2
    BUILD = 3
    AUTH = 4
    NETWORK = 5
    GUARD = 6


class PipelineError(Exception):
    """Base of every error that a person can do something about.

    Args:
        message: What happened, and to which reference; one line.
        hint: What to do next; one line, or empty where the message says it already.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(PipelineError):
    """What was asked for cannot be meant: a flag, a name or a folder is wrong or missing."""

    exit_code = ExitCode.USAGE


class RefError(UsageError):
    """The git ref or commit is not one that can be published."""


class ImageNameError(UsageError):
    """The registry, owner or name does not make a valid image reference."""


class CheckoutError(UsageError):
    """Git could not say what is checked out."""


class BuildError(PipelineError):
    """The image could not be built."""

    exit_code = ExitCode.BUILD


class VerificationError(BuildError):
    """The published image does not do what it must when it runs."""


class AuthError(PipelineError):
    """The registry does not let these credentials do this, or there are none."""

    exit_code = ExitCode.AUTH


class RegistryError(PipelineError):
    """The registry or the network between did not do what it should."""

    exit_code = ExitCode.NETWORK


class TransientError(RegistryError):
    """What failed at the registry may pass by itself: it is worth trying again.

    Args:
        message: What happened; one line.
        hint: What to do when it does not pass.
        after: Seconds that the registry asks to wait.
    """

    def __init__(self, message: str, *, hint: str = "", after: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.after = after


class EngineError(PipelineError):
    """The engine could not be reached, or cannot do what the run needs."""

    exit_code = ExitCode.NETWORK


class GuardError(PipelineError):
    """A guard refused: going on would break a promise that a tag makes."""

    exit_code = ExitCode.GUARD


class CollisionError(GuardError):
    """Two commits share their first seven digits, and one has the `sha-` tag already."""


class DirtyTreeError(GuardError):
    """The working tree is not what the commit says."""


class SourceMismatchError(GuardError):
    """What is checked out is another commit than the one whose image would be built of it."""


class WriteOnceError(GuardError):
    """A tag that is written once names another image already."""
