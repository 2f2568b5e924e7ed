"""Where a secret comes from: `env:NAME`, `file:PATH` or `cmd:COMMAND`, as `dagger call` spells it.

A secret's value is never an argument, so it shows neither in a list of processes nor in a shell's history.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import assert_never

import anyio
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ci.system.processes import run_process
from pipeline.rules.errors import UsageError

_COMMAND_SECONDS = 60.0
_ORDINARY_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}")
_SPELLING = "Give env:NAME, file:PATH or cmd:COMMAND."


class SecretKind(StrEnum):
    """The kinds of place that a secret is read from."""

    ENV = "env"
    FILE = "file"
    CMD = "cmd"


class SecretSource(BaseModel):
    """A place that a secret is read from.

    The place may be the secret itself by mistake, as `env:$TOKEN` is; so it is shown only where it can be none.
    """

    model_config = ConfigDict(frozen=True)

    kind: SecretKind
    place: str = Field(repr=False)

    @property
    def is_set(self) -> bool:
        """Whether an environment variable is there and not empty; other kinds are known when they are read."""
        return self.kind is not SecretKind.ENV or bool(os.environ.get(self.place, "").strip())

    async def read(self) -> SecretStr:
        """Read the secret, without the newline at its end.

        Raises:
            UsageError: There is nothing at that place.
        """
        match self.kind:
            case SecretKind.ENV:
                value = os.environ.get(self.place, "")
                name = self.place if _ORDINARY_NAME.fullmatch(self.place) else "that --token names"
                problem = f"The environment variable {name} is not set or empty."
            case SecretKind.FILE:
                value, problem = await self._from_file()
            case SecretKind.CMD:
                value, problem = await self._from_command()
            case _:
                assert_never(self.kind)
        if not value.strip():
            raise UsageError(problem, hint=_SPELLING)
        return SecretStr(value.strip())

    async def _from_file(self) -> tuple[str, str]:
        shown = "that --token names"
        try:
            path = Path(self.place).expanduser()
            if "/" in self.place and path.parent.is_dir():
                shown = str(path)
            return await anyio.Path(path).read_text(encoding="utf-8"), f"The file {shown} is empty."
        except (OSError, RuntimeError, UnicodeDecodeError) as error:  # RuntimeError: the home of nobody
            return "", f"The file {shown} could not be read: {type(error).__name__}."

    async def _from_command(self) -> tuple[str, str]:
        try:
            result = await run_process(["sh", "-c", self.place], time_limit=_COMMAND_SECONDS)
        except TimeoutError:
            return "", f"The command behind the token did not end within {_COMMAND_SECONDS:.0f} s."
        if result.exit_code != 0:
            return "", f"The command behind the token exited with {result.exit_code}."
        return result.stdout, "The command behind the token printed nothing."


def parse_secret_source(text: str) -> SecretSource:
    """Read a spelling such as `env:GITHUB_TOKEN`.

    Raises:
        UsageError: It is none; the text is not repeated, as it may be the secret itself.
    """
    kind, colon, place = text.partition(":")
    if not colon or not place or kind not in set(SecretKind):
        msg = "--token does not say where the token is."
        raise UsageError(msg, hint=f"{_SPELLING} The token itself never stands on the command line.")
    return SecretSource(kind=SecretKind(kind), place=place)
