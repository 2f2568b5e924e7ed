"""The session's secrets: kept in memory, never in an id, and masked in everything that leaves the engine."""

from __future__ import annotations

import hashlib
import hmac
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes

from ci.engine.errors import QueryFailedError
from ci.system.processes import run_process

_MASK = "***"
_COMMAND_LIMIT = 60.0
_SHORTEST_LINE = 4
"""A line of a longer secret that is shorter than this says nothing, and masking it would hide everything."""


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A secret as the API knows it.

    Attributes:
        name: What `setSecret` called it, or the URI that it comes from.
        uri: Where it comes from; empty for one that was handed in.
        plaintext: What is secret.
    """

    name: str
    uri: str
    plaintext: str

    def __repr__(self) -> str:
        return f"SecretValue(name={self.name!r})"


class Secrets:
    """The plaintexts of one session."""

    def __init__(self) -> None:
        self._salt = token_bytes(32)
        self._kept: dict[str, SecretValue] = {}
        self._masked: list[str] = []

    def keep(self, name: str, plaintext: str) -> str:
        """Keep a secret that was handed in, and return a key that tells nothing of it."""
        key = hmac.new(self._salt, f"{name}\0{plaintext}".encode(), hashlib.sha256).hexdigest()
        self._kept[key] = SecretValue(name, "", plaintext)
        self._mask(plaintext)
        return key

    def kept(self, key: str) -> SecretValue:
        """Return the secret that was kept under this key."""
        return self._kept[key]

    async def read(self, uri: str) -> SecretValue:
        """Return the secret that a URI names.

        Args:
            uri: `env:NAME`, `file:PATH` or `cmd:COMMAND`, on the machine of the caller.

        Raises:
            QueryFailedError: It is not there, or the kind of URI is not served.
        """
        kind, _, rest = uri.removeprefix("secret://").partition(":")
        rest = rest.removeprefix("//")
        match kind:
            case "env":
                plaintext = _from_environment(rest)
            case "file":
                plaintext = _from_file(rest)
            case "cmd":
                plaintext = await _from_command(rest)
            case _:
                msg = f"Query.secret(uri: {kind}:…) is not served by the embedded engine; use env:, file: or cmd:"
                raise QueryFailedError(msg)
        self._mask(plaintext)
        return SecretValue(uri, uri, plaintext)

    def scrub(self, text: str) -> str:
        """Return the text with every secret of the session masked."""
        for plaintext in self._masked:
            text = text.replace(plaintext, _MASK)
        return text

    def _mask(self, plaintext: str) -> None:
        lines = (line.strip() for line in plaintext.splitlines())
        parts = {plaintext, plaintext.strip(), *(line for line in lines if len(line) >= _SHORTEST_LINE)}
        known = {*self._masked, *(part for part in parts if part)}
        self._masked = sorted(known, key=len, reverse=True)


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        msg = f"secret env var not found: {name!r} is not set where the engine session runs"
        raise QueryFailedError(msg)
    return value


def _from_file(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        msg = f"failed to read secret file {path!r}: {e}"
        raise QueryFailedError(msg) from e


async def _from_command(command: str) -> str:
    done = await run_process(["/bin/sh", "-c", command], time_limit=_COMMAND_LIMIT)
    if done.exit_code != 0:
        msg = f"secret command {shlex.split(command)[0]!r} failed with exit code {done.exit_code}"
        raise QueryFailedError(msg)
    return done.stdout.rstrip("\n")
