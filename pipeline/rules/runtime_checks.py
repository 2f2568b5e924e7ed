"""What a published image must do, and what it answered.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an image must do.

    Attributes:
        command: A command that must end well in it.
        path: The path that its server must answer with 2xx or 3xx.
        port: The port that its server listens on, told to it as `PORT` too.
        seconds: How long the server may take to answer.
    """

    command: tuple[str, ...] = ("bin/rails", "--version")
    path: str = "/up"
    port: int = 3000
    seconds: int = 30


class Verified(BaseModel):
    """What an image answered.

    Attributes:
        reference: The image by digest.
        output: What the command printed.
        status: The HTTP status of the path.
    """

    model_config = ConfigDict(frozen=True)

    reference: str
    output: str
    status: str
