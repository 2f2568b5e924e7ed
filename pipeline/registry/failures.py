"""What a registry's answers mean: which are errors, of which kind, and what the registry said."""

from __future__ import annotations

import httpx

from pipeline.registry.credentials import access_hint, is_transient, seconds_to_wait
from pipeline.rules.errors import AuthError, RegistryError, TransientError
from pipeline.rules.image_name import ImageName
from pipeline.rules.text import quoted

RUN_AGAIN = "Run this again; what is written stays and is not sent twice."


def raise_for(response: httpx.Response, image: ImageName, what: str) -> None:
    """Raise what an answer means, where it is neither a success nor 404.

    Args:
        response: The answer.
        image: Whose repository was asked.
        what: Which reference it was about.

    Raises:
        AuthError: The registry wants credentials, or others.
        TransientError: It may answer otherwise in a moment.
        RegistryError: It failed.
    """
    status = response.status_code
    if response.is_success or status == httpx.codes.NOT_FOUND:
        return
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        given = "authorization" in response.request.headers
        verb = "refuses these credentials for" if given else "wants credentials for"
        msg = f"{image.registry} {verb} {what} (HTTP {status}{_because(response)})."
        hint = access_hint(image) if given else "Give --token env:NAME, the variable that holds a token or password."
        raise AuthError(msg, hint=hint)
    msg = f"{image.registry} answered HTTP {status} for {what}{_because(response)}."
    if is_transient(status):
        raise TransientError(msg, hint=RUN_AGAIN, after=seconds_to_wait(response))
    raise RegistryError(msg, hint=RUN_AGAIN)


def _because(response: httpx.Response) -> str:
    reason = reason_of(response)
    return f": {reason}" if reason else ""


def reason_of(response: httpx.Response) -> str:
    """Read the first error of the registry's own JSON; empty for anything else, such as a proxy's HTML."""
    try:
        first = response.json()["errors"][0]
        return quoted(f"{first.get('code', '')} {first.get('message', '')}".strip()).strip("'\"")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def path_of(base: httpx.URL, link: str) -> str:
    """Return the path and query that a link leads to; empty where it is no address."""
    try:
        return base.join(link).raw_path.decode()
    except (httpx.InvalidURL, ValueError):
        return ""
