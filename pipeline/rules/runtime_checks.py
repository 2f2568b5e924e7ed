"""What a published image must do when it runs, and what it did.

Pure.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from pipeline.rules.errors import UsageError
from pipeline.rules.image_name import check_port
from pipeline.rules.text import quoted


@dataclass(frozen=True, slots=True)
class RuntimeChecks:
    """What an image must do.

    Attributes:
        command: A command that must succeed in it.
        path: The path that its server must answer with 2xx or 3xx.
        port: The port that its server listens on, which it also gets as the variable `PORT`.
        seconds: How long the server may take to answer.

    Raises:
        UsageError: The command, the path or the port is not valid.
    """

    command: tuple[str, ...] = ("bin/rails", "--version")
    path: str = "/up"
    port: int = 3000
    seconds: int = 30

    def __post_init__(self) -> None:
        if not self.command:
            msg = "The command to verify the image with is empty."
            raise UsageError(msg, hint="Give one that succeeds in the image, such as 'bin/rails --version' or true.")
        if not self.path.startswith("/"):
            msg = f"Invalid path {quoted(self.path)}: it must begin with a slash."
            raise UsageError(msg)
        check_port(self.port)


class VerifiedImage(BaseModel):
    """An image that passed its checks."""

    model_config = ConfigDict(frozen=True)

    reference: str = Field(description="The image by digest.")
    output: str = Field(description="The command's output.")
    status: str = Field(description="The HTTP status of the path.")

    def summary(self, checks: RuntimeChecks) -> str:
        """Return three lines: the image, and what each check answered."""
        return f"{self.reference}\n{shlex.join(checks.command)}: {self.output}\n{checks.path}: {self.status}"


def parse_command(text: str) -> tuple[str, ...]:
    """Split a command line into words, as a POSIX shell does.

    Raises:
        UsageError: A quotation is not closed.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        msg = f"Invalid command {quoted(text)}: {error}."
        raise UsageError(msg, hint="Quote it as for a shell.") from error
