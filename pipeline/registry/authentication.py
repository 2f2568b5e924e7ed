"""How a request to a registry is authorised: by Basic credentials, or by a token of the registry's token service.

The challenge is RFC 9110's `WWW-Authenticate`; the token service is the distribution specification's
"Token Authentication". A password leaves this file only in an `Authorization` header.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import httpx
from typing_extensions import override

from pipeline.registry.credentials import Credentials
from pipeline.registry.failures import WRONG_SECONDS, access_hint, status_error
from pipeline.registry.manifests import json_object
from pipeline.rules.errors import AuthError, RegistryError, TransientError
from pipeline.rules.image_name import ImageName, is_loopback

_PARAMETER = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1; a token that is invalid in a header would appear in an error message."""


class Access(StrEnum):
    """What a run does in a repository, as the scope of a token spells it."""

    PULL = "pull"
    PUSH = "pull,push"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry requires when it answers 401.

    Attributes:
        scheme: How to answer it.
        realm: For `bearer`, the address of the token service.
        service: The name of the service that the token is for.
    """

    scheme: Literal["basic", "bearer"]
    realm: str = ""
    service: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """Read a `WWW-Authenticate` header; return None if its scheme is not supported."""
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


class ChallengeAuth(httpx.Auth):
    """Answers a registry's challenge, and authorises later requests in the same way.

    What was accepted and is refused later is renewed once: tokens expire.

    Args:
        image: The repository that a token must be valid for.
        credentials: The caller's, or None for anonymous access: many registries let everybody pull, and none push.
        access: What a token must be valid for.
    """

    requires_response_body = True

    def __init__(self, image: ImageName, credentials: Credentials | None, access: Access) -> None:
        self.credentials = credentials
        self._image = image
        self._access = access
        self._challenge: Challenge | None = None
        self._authorization: str | None = None
        self._accepted: str | None = None

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        renewed = False
        while True:
            sent = self._authorization
            if sent is not None:
                request.headers["Authorization"] = sent
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED or not _same_origin(response.request.url, request.url):
                if response.is_success:
                    self._accepted = sent
                return  # credentials never follow a redirect to another server
            if sent != self._authorization:
                continue  # another request has renewed it
            self._challenge = parse_challenge(response.headers.get("WWW-Authenticate", "")) or self._challenge
            if self._challenge is None or not self._may_answer(self._challenge):
                return
            if sent is not None:
                if renewed or sent != self._accepted:
                    return
                renewed = True  # what was accepted before may have expired
            if self._challenge.scheme == "basic" and self.credentials is not None:
                self._authorization = self.credentials.basic()
            else:
                token_response = yield self._token_request(self._challenge)
                self._authorization = f"Bearer {self._token(token_response)}"

    def _may_answer(self, challenge: Challenge) -> bool:
        """Return whether the challenge can be answered: anonymous tokens allow to pull public images, never to push."""
        return self.credentials is not None or (challenge.scheme == "bearer" and self._access is Access.PULL)

    def _token_request(self, challenge: Challenge) -> httpx.Request:
        try:
            realm = httpx.URL(challenge.realm)
        except httpx.InvalidURL as error:
            msg = f"The token service of {self._image.registry} has an invalid address."
            raise RegistryError(msg) from error
        local = self._image.is_loopback and is_loopback(realm.netloc.decode())
        if realm.scheme != "https" and not local:
            msg = f"The token service of {self._image.registry} does not use TLS: {realm.host}."
            raise AuthError(msg, hint="No credentials were sent. Check the registry's address.")
        scope = f"repository:{self._image.repository}:{self._access}"
        headers = {"Accept-Encoding": "identity"}
        if self.credentials is not None:
            headers["Authorization"] = self.credentials.basic()
        params = {"service": challenge.service, "scope": scope}
        return httpx.Request("GET", realm.copy_merge_params(params), headers=headers)

    def _token(self, response: httpx.Response) -> str:
        status = response.status_code
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            msg = f"{self._image.registry} refuses these credentials for {self._image} (HTTP {status})."
            raise AuthError(msg, hint=access_hint(self._image))
        if status != httpx.codes.OK:
            msg = f"The token service of {self._image.registry} answered HTTP {status}."
            raise status_error(response, msg, "This request changed nothing; run it again.")
        try:
            answer = json_object(response.content)
            token = answer.get("token") or answer.get("access_token")
        except ValueError:
            token = None
        if not isinstance(token, str) or _BEARER_TOKEN.fullmatch(token) is None:
            msg = f"The token service of {self._image.registry} answered without a token."
            raise TransientError(msg, within=WRONG_SECONDS)
        return token


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
