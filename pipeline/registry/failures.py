"""What a registry's failures mean: which answers are errors, the kind of each, and what to do about it."""

from __future__ import annotations

import math
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from pipeline.registry.credentials import Credentials
from pipeline.registry.manifests import json_object
from pipeline.rules.errors import AuthError, RegistryError, TransientError
from pipeline.rules.http_statuses import RETRIED
from pipeline.rules.image_name import ImageName
from pipeline.rules.text import cause, quoted, redacted

_RUN_AGAIN = "Run this again; what is written stays and is not sent twice."

WRONG_SECONDS = 10.0
"""How long an invalid answer is requested again; a fault on the way passes soon, or not at all."""

_START_SECONDS = 10.0
"""How long a registry that has not answered yet is waited for."""
_SECONDS = re.compile(r"[0-9]{1,9}")
_DROPPED = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


def raise_for(response: httpx.Response, image: ImageName, what: str, credentials: Credentials | None) -> None:
    """Raise the error that an answer means, unless it is a success or 404.

    Args:
        response: The answer.
        image: The image that the request was for.
        what: The reference that the request was about.
        credentials: Those that the caller gave.

    Raises:
        AuthError: The registry requires credentials, or denied these.
        TransientError: The same request may succeed a moment later.
        RegistryError: The registry failed.
    """
    status = response.status_code
    if response.is_success or status == httpx.codes.NOT_FOUND:
        return
    reason = reason_of(response, credentials)
    because = f": {reason}" if reason else ""
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        verb = "requires credentials for" if credentials is None else "refuses these credentials for"
        msg = f"{image.registry} {verb} {what} (HTTP {status}{because})."
        raise AuthError(msg, hint=_login_hint(image) if credentials is None else access_hint(image))
    raise status_error(response, f"{image.registry} answered HTTP {status} for {what}{because}.", _RUN_AGAIN)


def status_error(response: httpx.Response, message: str, hint: str) -> RegistryError:
    """Return the error for an answer that is not a success: transient or not, by its status."""
    if response.status_code in RETRIED:
        return TransientError(message, hint=hint, after=_seconds_to_wait(response))
    return RegistryError(message, hint=hint)


def connection_error(
    error: httpx.HTTPError | TimeoutError, image: ImageName, what: str, *, answered: bool
) -> RegistryError:
    """Return the error for a request without an answer.

    Args:
        error: What happened.
        image: The image that the request was for.
        what: The reference that the request was about.
        answered: Whether the registry has answered before. One that has not may be starting, or may not exist.
    """
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        msg = f"{image.registry} did not answer in time for {what}."
        return TransientError(msg, hint="Check the network, and run this again.")
    if isinstance(error, _DROPPED):
        msg = f"{image.registry} dropped the connection for {what}: {cause(error)}."
        return TransientError(msg, hint=_RUN_AGAIN)
    msg = f"{image.registry} could not be reached for {what}: {cause(error)}."
    hint = "Check --registry and the network. For a local registry: lr-ci registry up."
    if isinstance(error, httpx.ConnectError) and not _is_certificate_error(error):
        return TransientError(msg, hint=hint, within=math.inf if answered else _START_SECONDS)
    return RegistryError(msg, hint=hint)


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return True
        error = error.__cause__ or error.__context__
    return False


def service_error(error: Exception, image: ImageName) -> RegistryError:
    """Return the error for a Dagger service without a registry behind it: its port is closed, or drops connections."""
    msg = f"The service for {image.registry} does not answer: {cause(error)}."
    return RegistryError(msg, hint="Start the registry, and pass --registry-service tcp://localhost:PORT.")


def reason_of(response: httpx.Response, credentials: Credentials | None) -> str:
    """Return the first error of the registry's own JSON, without the caller's credentials.

    It is empty for anything else, such as a proxy's HTML.
    """
    try:
        first = json_object(response.content)["errors"][0]
        text = f"{first.get('code', '')} {first.get('message', '')}".strip()
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return shown(text, response, credentials).strip("'\"")


def shown(text: str, response: httpx.Response, credentials: Credentials | None) -> str:
    """Quote a text of a registry's answer for a message, without the credentials that it may repeat.

    Args:
        text: The text.
        response: The answer.
        credentials: Those that the caller gave.
    """
    sent = response.request.headers.get("Authorization", "").rpartition(" ")[2]
    return quoted(redacted(text, [sent, *(() if credentials is None else credentials.secrets())]))


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


def _seconds_to_wait(response: httpx.Response) -> float:
    """Read how long a server requests to wait (RFC 9110, `Retry-After`); 0 without such a header.

    A date is compared with the server's own `Date`, as its clock may differ from this one.
    """
    text = response.headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    then, now = _date(text), _date(response.headers.get("Date", "")) or datetime.now(UTC)
    return 0.0 if then is None else max((then - now).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date
