"""Where a secret is read from: `env:NAME`, `file:PATH` or `cmd:COMMAND`, the spelling of `dagger call`.

A secret's value is never an argument, so it appears neither in a list of processes nor in a shell's history.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import assert_never

import anyio
from pydantic import SecretStr

from ci.system.processes import run_process

_COMMAND_SECONDS = 60.0
_ORDINARY_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}")
_PROGRAM = re.compile(r"[\w./-]{1,30}", re.ASCII)
_HIDDEN = "(not shown)"
_SPELLING = "Use env:NAME, file:PATH or cmd:COMMAND."


class SecretSourceError(Exception):
    """A secret source is not valid, or the secret cannot be read from it.

    Args:
        message: What is wrong; never with the secret in it.
        hint: What to do next.
    """

    def __init__(self, message: str, *, hint: str = _SPELLING) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SecretKind(StrEnum):
    """The kinds of source."""

    ENV = "env"
    FILE = "file"
    CMD = "cmd"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A place that a secret is read from.

    The place may be the secret itself by mistake, as in `env:$TOKEN`; so messages show it only if it cannot be one.
    """

    kind: SecretKind
    place: str = field(repr=False)

    @property
    def is_set(self) -> bool:
        """Whether an environment variable is set and not empty; other kinds are known only when they are read."""
        return self.kind is not SecretKind.ENV or bool(os.environ.get(self.place, "").strip())

    @property
    def reference(self) -> str:
        """The spelling of the place, without what may be the secret itself; of a command, its program."""
        match self.kind:
            case SecretKind.ENV:
                shown = self.place if _ORDINARY_NAME.fullmatch(self.place) else _HIDDEN
            case SecretKind.FILE:
                shown = _describe_path(self.place)
            case SecretKind.CMD:
                program, _, rest = self.place.strip().partition(" ")
                shown = f"{program} …" if rest and _PROGRAM.fullmatch(program) else _HIDDEN
            case _:
                assert_never(self.kind)
        return f"{self.kind}:{shown}"

    async def read(self) -> SecretStr:
        """Read the secret exactly as it is, with a newline at its end if there is one.

        Raises:
            SecretSourceError: The variable is not set, the file cannot be read, or the command fails.
        """
        match self.kind:
            case SecretKind.ENV:
                return SecretStr(self._from_environment())
            case SecretKind.FILE:
                return SecretStr(await self._from_file())
            case SecretKind.CMD:
                return SecretStr(await self._from_command())
            case _:
                assert_never(self.kind)

    async def read_token(self) -> SecretStr:
        """Read a token: without the whitespace around it, as files and commands end with a newline.

        Raises:
            SecretSourceError: It cannot be read, or is empty.
        """
        token = (await self.read()).get_secret_value().strip()
        if not token:
            msg = f"{self._description()} is empty."
            raise SecretSourceError(msg)
        return SecretStr(token)

    def _description(self) -> str:
        match self.kind:
            case SecretKind.ENV:
                name = self.place if _ORDINARY_NAME.fullmatch(self.place) else "(name not shown)"
                return f"The environment variable {name}"
            case SecretKind.FILE:
                return f"The file {_describe_path(self.place)}"
            case SecretKind.CMD:
                return "The output of the command"
            case _:
                assert_never(self.kind)

    def _from_environment(self) -> str:
        value = os.environ.get(self.place)
        if value is None:
            msg = f"{self._description()} is not set."
            raise SecretSourceError(msg)
        return value

    # The errors below are raised outside of `except`: a cause would contain the place, which may be the secret.

    async def _from_file(self) -> str:
        try:
            return await anyio.Path(Path(self.place).expanduser()).read_text(encoding="utf-8")
        except (OSError, RuntimeError, UnicodeDecodeError) as error:  # RuntimeError: a user without a home
            reason = type(error).__name__
        msg = f"{self._description()} cannot be read: {reason}."
        raise SecretSourceError(msg)

    async def _from_command(self) -> str:
        try:
            # With all variables: what the user's command needs is not known.
            result = await run_process(["sh", "-c", self.place], time_limit=_COMMAND_SECONDS, env=os.environ)
        except TimeoutError:
            result = None
        if result is None:
            msg = f"The command for the secret did not end within {_COMMAND_SECONDS:.0f} s."
            raise SecretSourceError(msg)
        if result.exit_code != 0:
            msg = f"The command for the secret failed with exit code {result.exit_code}."
            raise SecretSourceError(msg)
        return result.stdout


def _describe_path(place: str) -> str:
    try:
        path = Path(place).expanduser()
    except RuntimeError:
        return "(path not shown)"
    return str(path) if "/" in place and path.parent.is_dir() else "(path not shown)"


def parse_secret_source(text: str) -> SecretSource:
    """Read a spelling such as `env:GITHUB_TOKEN` or `env://GITHUB_TOKEN`.

    Raises:
        SecretSourceError: It is not valid; the message does not repeat the text, which may be the secret itself.
    """
    kind, colon, place = text.partition(":")
    place = place.removeprefix("//")
    if not colon or not place or kind not in set(SecretKind):
        msg = "Invalid secret source."
        raise SecretSourceError(msg, hint=f"{_SPELLING} The secret itself must not be on the command line.")
    return SecretSource(kind=SecretKind(kind), place=place)
