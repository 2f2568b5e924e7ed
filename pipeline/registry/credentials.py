"""How a request to a registry is signed: by Basic credentials, or by a token that the registry's service gives.

The challenge is RFC 9110's `WWW-Authenticate`; the token service is the distribution specification's
"Token Authentication". A password leaves this file only in an `Authorization` header.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator, Generator
from enum import StrEnum
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr
from typing_extensions import override

from pipeline.rules.errors import AuthError, RegistryError, TransientError
from pipeline.rules.image_name import ImageName, is_loopback
from pipeline.rules.text import quoted

_PARAMETER = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
_SECONDS = re.compile(r"[0-9]{1,9}")
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1: nothing that a header could not hold, as its error would show the token."""


class Access(StrEnum):
    """What is asked of a repository, as the scope of a token spells it."""

    PULL = "pull"
    PUSH = "pull,push"


class Credentials(BaseModel):
    """A user and a password or token; the password never shows in a representation."""

    model_config = ConfigDict(frozen=True)

    username: str
    password: SecretStr

    def basic(self) -> str:
        """Return the value of an `Authorization` header of the Basic scheme (RFC 7617)."""
        pair = f"{self.username}:{self.password.get_secret_value()}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


class Challenge(BaseModel):
    """What a registry asks for when it answers 401."""

    model_config = ConfigDict(frozen=True)

    scheme: Literal["basic", "bearer"]
    realm: str = ""
    service: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """Read a `WWW-Authenticate` header, or None where it asks for something that this client does not speak."""
    scheme, _, rest = header.strip().partition(" ")
    # The first of a name wins: what follows may belong to another challenge in the same header.
    parameters = {key.lower(): value for key, value in reversed(_PARAMETER.findall(rest))}
    realm, service = parameters.get("realm", ""), parameters.get("service", "")
    match scheme.lower():
        case "basic":
            return Challenge(scheme="basic", realm=realm, service=service)
        case "bearer" if realm:
            return Challenge(scheme="bearer", realm=realm, service=service)
        case _:
            return None


class RegistryAuth(httpx.Auth):
    """Answers a registry's challenge once and signs every later request with what came of it.

    Args:
        image: The repository that a token must be good for.
        credentials: What the caller gave, or None to ask without: many registries let everybody pull, and none push.
        access: What a token must be good for.
    """

    requires_response_body = True

    def __init__(self, image: ImageName, credentials: Credentials | None, access: Access) -> None:
        self._image = image
        self._credentials = credentials
        self._access = access
        self._authorization: str | None = None

    @override
    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        msg = "registries are asked asynchronously"
        raise NotImplementedError(msg)

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or not _same_origin(response.request.url, request.url):
            return  # where a redirect led to, nobody is told the credentials
        challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
        if challenge is None or not self._may_answer(challenge):
            return
        if challenge.scheme == "basic" and self._credentials is not None:
            self._authorization = self._credentials.basic()
        else:
            token_response = yield self._token_request(challenge)
            await token_response.aread()
            self._authorization = f"Bearer {self._token(token_response)}"
        request.headers["Authorization"] = self._authorization
        yield request

    def _may_answer(self, challenge: Challenge) -> bool:
        """Say whether there is anything to answer with: anyone gets a token to pull what is public, none to push."""
        return self._credentials is not None or (challenge.scheme == "bearer" and self._access is Access.PULL)

    def _token_request(self, challenge: Challenge) -> httpx.Request:
        try:
            realm = httpx.URL(challenge.realm)
        except httpx.InvalidURL as error:
            msg = f"{self._image.registry} names a token service at {quoted(challenge.realm)}, which is no address."
            raise RegistryError(msg) from error
        local = self._image.is_loopback and is_loopback(realm.netloc.decode())
        if realm.scheme != "https" and not local:
            msg = f"{self._image.registry} names a token service without TLS, {realm.host}."
            raise AuthError(msg, hint="No credentials were sent. Check the registry's address.")
        scope = f"repository:{self._image.repository}:{self._access}"
        headers = {} if self._credentials is None else {"Authorization": self._credentials.basic()}
        params = {"service": challenge.service, "scope": scope}
        return httpx.Request("GET", realm.copy_merge_params(params), headers=headers)

    def _token(self, response: httpx.Response) -> str:
        status = response.status_code
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            msg = f"{self._image.registry} refuses these credentials for {self._image} (HTTP {status})."
            raise AuthError(msg, hint=access_hint(self._image))
        if status != httpx.codes.OK:
            msg = f"The token service of {self._image.registry} answered HTTP {status}."
            hint = "Nothing was changed by this request; run it again."
            if is_transient(status):
                raise TransientError(msg, hint=hint, after=seconds_to_wait(response))
            raise RegistryError(msg, hint=hint)
        try:
            answer = response.json()
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or _BEARER_TOKEN.fullmatch(token) is None:
            msg = f"The token service of {self._image.registry} answered without a token."
            raise RegistryError(msg)
        return token


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def is_transient(status: int) -> bool:
    """Say whether an answer may be another one in a moment: 408, 429 and what the server says of itself."""
    return status in {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS} or httpx.codes.is_server_error(status)


def seconds_to_wait(response: httpx.Response) -> float:
    """Read how long a server asks to wait (RFC 9110, `Retry-After`, in seconds); 0 where it does not."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if _SECONDS.fullmatch(text) else 0.0


def access_hint(image: ImageName) -> str:
    """Say what a person can do who is not let in."""
    if image.registry == "ghcr.io":
        return (
            "In Actions: `permissions: packages: write`, and package settings → Manage Actions access. "
            "On a laptop: a classic token with write:packages."
        )
    return "Check the user and the token given by --username and --token."
