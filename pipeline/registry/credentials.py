"""A user's credentials for a registry."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from pydantic import SecretStr

from pipeline.rules.text import spellings


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password or token; the password is not part of the representation.

    Attributes:
        username: The user; GHCR accepts any with a token.
        password: The password or token.
    """

    username: str
    password: SecretStr

    def basic(self) -> str:
        """Return the value of an `Authorization` header of the Basic scheme (RFC 7617)."""
        pair = f"{self.username}:{self.password.get_secret_value()}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def secrets(self) -> tuple[str, ...]:
        """Return what a message about a registry must not repeat: the password, also as it is sent."""
        return spellings(self.username, self.password.get_secret_value())
