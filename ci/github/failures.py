"""What GitHub's failures mean: which are transient, and as which error each is reported.

Pure.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
from githubkit.exception import RateLimitExceeded, RequestError, RequestFailed
from pydantic import SecretStr

from ci.github.failed_log import hide_secret
from pipeline.rules.errors import AuthError, PipelineError, UsageError
from pipeline.rules.exit_codes import ExitCode
from pipeline.rules.http_statuses import RETRIED
from pipeline.rules.text import one_line

_PERMISSION = "Give the job `permissions: issues: write`; outside Actions, use a token with write access to issues."
_ENABLE = "Enable them: Settings → General → Features → Issues."
_STATUS = "If it persists, check githubstatus.com."


class NetworkError(PipelineError):
    """GitHub, or the network on the way to it, failed."""

    exit_code = ExitCode.NETWORK


class UnknownOutcomeError(NetworkError):
    """A request got no answer and may have been carried out: check before sending it again."""


def api_error(error: Exception, repository: str, token: SecretStr) -> PipelineError:
    """Return the error that a failed request is reported as.

    Args:
        error: The exception of githubkit, which has retried what can be retried.
        repository: `owner/name`.
        token: The token, which is hidden even if GitHub's answer contains it.
    """
    match error:
        case RateLimitExceeded():
            seconds = error.retry_after.total_seconds()
            return NetworkError(f"GitHub's rate limit is exceeded; it requests a wait of {seconds:.0f} s.")
        case RequestFailed():
            return _from_answer(error, repository, token)
        case RequestError(exc=httpx.TransportError() as cause):
            kind = UnknownOutcomeError if creates_an_issue(error) else NetworkError
            reason = "did not answer in time" if isinstance(cause, httpx.TimeoutException) else "could not be reached"
            return kind(f"GitHub's API {reason} ({type(cause).__name__}).", hint=_STATUS)
        case _:
            inner = error.exc if isinstance(error, RequestError) else error
            return NetworkError(f"GitHub's API sent an invalid answer ({type(inner).__name__}).", hint=_STATUS)


def is_rate_limit(response: httpx.Response) -> bool:
    """Return whether GitHub refused a request because there were too many ("Rate limits for the REST API")."""
    if response.status_code == httpx.codes.FORBIDDEN:
        return "secondary rate limit" in response.text
    return response.status_code == httpx.codes.TOO_MANY_REQUESTS


def creates_an_issue(error: RequestError[Any]) -> bool:
    """Return whether sending the failed request again could create a second issue."""
    try:
        request = error.exc.request if isinstance(error.exc, httpx.RequestError) else getattr(error, "request", None)
    except RuntimeError:  # httpx has no request: it was never sent
        return False
    return isinstance(request, httpx.Request) and request.method == "POST" and request.url.path.endswith("/issues")


def _from_answer(error: RequestFailed, repository: str, token: SecretStr) -> PipelineError:
    response = error.response.raw_response
    kind: type[PipelineError] = AuthError
    hint = _PERMISSION
    match response.status_code:
        case httpx.codes.UNAUTHORIZED:
            what = "GitHub rejected the token"
        case _ if is_rate_limit(response):
            kind, what, hint = NetworkError, "GitHub's rate limit is exceeded", _STATUS
        case httpx.codes.FORBIDDEN:
            what = f"The token has no permission to write issues in {repository}"
        case httpx.codes.NOT_FOUND:
            what = f"Repository {repository} not found, or not visible to the token"
        case httpx.codes.GONE:
            kind, what, hint = UsageError, f"Issues are disabled in {repository}", _ENABLE
        case status if status in RETRIED:
            kind = UnknownOutcomeError if creates_an_issue(error) else NetworkError
            what, hint = "GitHub's API failed", _STATUS
        case _:
            kind, what, hint = NetworkError, f"GitHub's API refused {error.request.method} {error.request.url.path}", ""
    return kind(f"{what}{_message_of(response, token)}.", hint=hint)


def _message_of(response: httpx.Response, token: SecretStr) -> str:
    """Return the status and GitHub's own message, on one line and without the token."""
    try:
        answer = json.loads(response.content)
        message = answer.get("message", "") if isinstance(answer, dict) else ""
    except ValueError:
        message = ""
    message = hide_secret(one_line(str(message)), token.get_secret_value())
    return f" (HTTP {response.status_code}{': ' + message.rstrip('.') if message else ''})"
