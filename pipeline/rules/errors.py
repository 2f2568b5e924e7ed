"""The errors of a run: one base, a subclass and an exit code for each kind.

A message states what happened and to which reference; `hint` states what to do next. Neither ever contains a secret.
"""

from __future__ import annotations

import math
from copy import copy
from typing import ClassVar, Self

from pipeline.rules.exit_codes import ExitCode


class PipelineError(Exception):
    """Base of every error that a user can do something about.

    Args:
        message: What happened, and to which reference; one line. That of a failed build has the lines of its step, too.
        hint: What to do next; one line, or empty if the message is enough.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def extended(self, sentence: str) -> Self:
        """Return a new error of the same kind with one more sentence in its message."""
        error = copy(self)
        error.message = f"{self.message} {sentence}"
        error.args = (error.message,)
        return error


class UsageError(PipelineError):
    """An option, a name or a path is invalid or missing."""

    exit_code = ExitCode.USAGE


class RefError(UsageError):
    """The git ref or commit cannot be published."""


class ImageNameError(UsageError):
    """The registry, owner or name does not make a valid image name."""


class CheckoutError(UsageError):
    """Git could not read what is checked out."""


class NotPublishedError(UsageError):
    """The registry has no image of the commit."""


class BuildError(PipelineError):
    """The image could not be built."""

    exit_code = ExitCode.BUILD


class VerificationError(BuildError):
    """The published image failed a check at run time."""


class AuthError(PipelineError):
    """The registry denied access, or requires credentials."""

    exit_code = ExitCode.AUTH


class RegistryError(PipelineError):
    """The registry or the network failed."""

    exit_code = ExitCode.NETWORK


class TransientError(RegistryError):
    """The registry failed in a way that is worth another attempt.

    Args:
        message: What happened; one line.
        hint: What to do if it fails again.
        after: Seconds that the registry requests to wait.
        within: Seconds in which it should pass, if it is likely to be no passing failure.
    """

    def __init__(self, message: str, *, hint: str = "", after: float = 0.0, within: float = math.inf) -> None:
        super().__init__(message, hint=hint)
        self.after = after
        self.within = within


class InvalidImageError(RegistryError):
    """An image in the registry is not valid, or a part of it is missing."""


class EngineError(PipelineError):
    """The engine is not available, or cannot do what the run needs."""

    exit_code = ExitCode.NETWORK


class GuardError(PipelineError):
    """A guard refused to continue: a tag would no longer be what it promises."""

    exit_code = ExitCode.GUARD


class CollisionError(GuardError):
    """The `sha-` tag of a commit points to an image of another commit, or from other build inputs."""


class DirtyTreeError(GuardError):
    """The working tree differs from the commit."""


class SourceMismatchError(GuardError):
    """What is checked out is not the commit whose image would be built."""


class WriteOnceError(GuardError):
    """A tag that is written once already points to another image."""
