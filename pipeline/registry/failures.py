"""What a registry's failures mean: which answers are errors, the kind of each, and what to do about it."""

from __future__ import annotations

import re

import httpx

from pipeline.rules.errors import AuthError, RegistryError, TransientError
from pipeline.rules.http_statuses import RETRIED
from pipeline.rules.image_name import ImageName
from pipeline.rules.text import cause, quoted

_RUN_AGAIN = "Run this again; what is written stays and is not sent twice."

_SECONDS = re.compile(r"[0-9]{1,9}")
_DROPPED = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


def raise_for(response: httpx.Response, image: ImageName, what: str) -> None:
    """Raise the error that an answer means, unless it is a success or 404.

    Args:
        response: The answer.
        image: The image that the request was for.
        what: The reference that the request was about.

    Raises:
        AuthError: The registry requires credentials, or denied these.
        TransientError: The same request may succeed a moment later.
        RegistryError: The registry failed.
    """
    status = response.status_code
    if response.is_success or status == httpx.codes.NOT_FOUND:
        return
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        given = "authorization" in response.request.headers
        verb = "refuses these credentials for" if given else "requires credentials for"
        msg = f"{image.registry} {verb} {what} (HTTP {status}{_because(response)})."
        raise AuthError(msg, hint=access_hint(image) if given else _login_hint(image))
    raise status_error(response, f"{image.registry} answered HTTP {status} for {what}{_because(response)}.", _RUN_AGAIN)


def status_error(response: httpx.Response, message: str, hint: str) -> RegistryError:
    """Return the error for an answer that is not a success: transient or not, by its status."""
    if response.status_code in RETRIED:
        return TransientError(message, hint=hint, after=_seconds_to_wait(response))
    return RegistryError(message, hint=hint)


def connection_error(error: httpx.HTTPError | TimeoutError, image: ImageName, what: str) -> RegistryError:
    """Return the error for a request without an answer."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        msg = f"{image.registry} did not answer in time for {what}."
        return RegistryError(msg, hint="Check the network, and run this again.")
    if isinstance(error, _DROPPED):
        msg = f"{image.registry} dropped the connection for {what}: {cause(error)}."
        return TransientError(msg, hint=_RUN_AGAIN)
    msg = f"{image.registry} could not be reached for {what}: {cause(error)}."
    return RegistryError(msg, hint="Check --registry and the network. For a local registry: lr-ci registry up.")


def service_error(error: Exception, image: ImageName) -> RegistryError:
    """Return the error for a Dagger service without a registry behind it: its port is closed, or drops connections."""
    msg = f"The service for {image.registry} does not answer: {cause(error)}."
    return RegistryError(msg, hint="Start the registry, and pass --registry-service tcp://localhost:PORT.")


def reason_of(response: httpx.Response) -> str:
    """Return the first error of the registry's own JSON; empty for anything else, such as a proxy's HTML."""
    try:
        first = response.json()["errors"][0]
        return quoted(f"{first.get('code', '')} {first.get('message', '')}".strip()).strip("'\"")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def access_hint(image: ImageName) -> str:
    """Return what a user can do if credentials were denied."""
    if image.registry == "ghcr.io":
        return (
            "In Actions: `permissions: packages: write`, and package settings → Manage Actions access. "
            "On a laptop: a classic token with write:packages."
        )
    return f"Check the user and the token: --username and --token, or for lr-ci docker login {image.registry}."


def _login_hint(image: ImageName) -> str:
    """Return what a user without credentials can do; a module cannot read Docker's configuration."""
    return (
        "Give --token env:NAME, the variable that holds a token or password. "
        f"For lr-ci, docker login {image.registry} is enough."
    )


def _because(response: httpx.Response) -> str:
    reason = reason_of(response)
    return f": {reason}" if reason else ""


def _seconds_to_wait(response: httpx.Response) -> float:
    """Read how long a server requests to wait (RFC 9110, `Retry-After` in seconds); 0 without such a header."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if _SECONDS.fullmatch(text) else 0.0
