"""A user's credentials for a registry."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from pydantic import SecretStr

_AUTHORIZATION = re.compile(r"\b(Basic|Bearer)(\s+)[A-Za-z0-9._~+/-]+=*", re.IGNORECASE)
_HIDDEN = "***"
_SHORTEST = 4
"""The length below which a password would be found in any text."""


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


def redacted(text: str, credentials: Credentials | None, *more: str) -> str:
    """Return a text from outside without the credentials that it may repeat, in any form that they are sent in.

    Args:
        text: The text.
        credentials: The caller's.
        more: Further secrets, such as a token that was made of them.
    """
    secrets = [*more]
    if credentials is not None:
        secrets += [credentials.basic().removeprefix("Basic "), credentials.password.get_secret_value()]
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, _HIDDEN)
    return _AUTHORIZATION.sub(rf"\1\2{_HIDDEN}", text)
