"""The session's secrets: kept in memory, never part of an id, and masked in everything that leaves the engine."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from secrets import token_bytes

from ci.engine.errors import QueryFailedError
from ci.system.secret_source import SecretSourceError, parse_secret_source

_MASK = "***"
_SHORTEST_LINE = 4
"""Shorter lines of a longer secret are not masked: they reveal nothing, and masking them would hide everything."""


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A secret.

    Attributes:
        name: Its name for `RUN --mount=type=secret,id=…`; empty for a secret that was read from a URI.
        plaintext: The secret itself.
    """

    name: str
    plaintext: str = field(repr=False)


class Secrets:
    """The plaintexts of one session."""

    def __init__(self) -> None:
        self._salt = token_bytes(32)
        self._kept: dict[str, str] = {}
        self._masked: list[str] = []

    def keep(self, plaintext: str) -> str:
        """Keep a secret and return a key that reveals nothing about it; equal secrets have equal keys."""
        key = hmac.new(self._salt, plaintext.encode(), hashlib.sha256).hexdigest()
        self._kept[key] = plaintext
        self._mask(plaintext)
        return key

    def kept(self, key: str) -> str:
        """Return the secret that was kept under a key."""
        return self._kept[key]

    async def read(self, uri: str) -> str:
        """Read a secret from the host.

        Args:
            uri: `env:NAME`, `file:PATH` or `cmd:COMMAND`, also with `//` after the colon.

        Raises:
            QueryFailedError: The secret cannot be read, or this kind of URI is not served.
        """
        try:
            source = parse_secret_source(uri.removeprefix("secret://"))
            plaintext = (await source.read()).get_secret_value()
        except SecretSourceError as e:
            raise QueryFailedError(e.message, hint=e.hint) from e
        self._mask(plaintext)
        return plaintext

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
