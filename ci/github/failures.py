"""What GitHub's refusals mean, as errors of ours: what happened, to which repository, and what to do.

Pure.
"""

from __future__ import annotations

import json

import httpx
from githubkit.exception import RateLimitExceeded, RequestError, RequestFailed
from pydantic import SecretStr

from ci.github.errors import NetworkError, UnknownOutcomeError
from ci.github.retry import is_secondary_limit, is_transient, makes_an_issue
from pipeline.rules.errors import AuthError, PipelineError, UsageError
from pipeline.rules.text import one_line

_PERMISSION = (
    "Give the job `permissions: issues: write`; elsewhere, use a token that may write the repository's issues."
)
_SWITCH_ON = "Switch them on: Settings → General → Features → Issues."
_LATER = "Look at githubstatus.com where it stays so."
_SHORTEST_SECRET = 6


def refusal(error: Exception, repository: str, token: SecretStr) -> PipelineError:
    """Say what a failed request means.

    Args:
        error: What githubkit raised, after it sent again what may be sent again.
        repository: `owner/name`.
        token: What must not show even where the other side repeats it.
    """
    match error:
        case RateLimitExceeded():
            asked = error.retry_after.total_seconds()
            return NetworkError(f"GitHub's rate limit is used up; it asks to wait for {asked:.0f} s.")
        case RequestFailed():
            return _failed(error, repository, token)
        case RequestError(exc=httpx.TransportError() as cause):
            kind = UnknownOutcomeError if makes_an_issue(error) else NetworkError
            reason = "did not answer in time" if isinstance(cause, httpx.TimeoutException) else "could not be reached"
            return kind(f"GitHub's API {reason} ({type(cause).__name__}).", hint=_LATER)
        case _:
            detail = error.exc if isinstance(error, RequestError) else error
            return NetworkError(
                f"GitHub's API gave an answer that cannot be read ({type(detail).__name__}).", hint=_LATER
            )


def _failed(error: RequestFailed, repository: str, token: SecretStr) -> PipelineError:
    response = error.response.raw_response
    kind: type[PipelineError]
    match response.status_code:
        case httpx.codes.UNAUTHORIZED:
            kind, what, hint = AuthError, "GitHub does not take the token", _PERMISSION
        case httpx.codes.FORBIDDEN if is_secondary_limit(response):
            kind, what, hint = NetworkError, "GitHub is asked too much at once", _LATER
        case httpx.codes.FORBIDDEN:
            kind, what, hint = AuthError, f"The token may not write issues in {repository}", _PERMISSION
        case httpx.codes.NOT_FOUND:
            kind, what, hint = AuthError, f"GitHub shows no repository {repository} to this token", _PERMISSION
        case httpx.codes.GONE:
            kind, what, hint = UsageError, f"Issues are disabled in {repository}", _SWITCH_ON
        case _ if is_transient(error):
            kind, what, hint = (
                UnknownOutcomeError if makes_an_issue(error) else NetworkError,
                "GitHub's API failed",
                _LATER,
            )
        case _:
            kind, what, hint = NetworkError, f"GitHub's API refused {error.request.method} {error.request.url.path}", ""
    return kind(f"{what}{_said(response, token)}.", hint=hint)


def _said(response: httpx.Response, token: SecretStr) -> str:
    """Quote GitHub's own words, on one line and without the token."""
    try:
        answer = json.loads(response.content)
        words = answer.get("message", "") if isinstance(answer, dict) else ""
    except ValueError:
        words = ""
    secret = token.get_secret_value()
    words = one_line(str(words))
    if len(secret) >= _SHORTEST_SECRET:
        words = words.replace(secret, "***")
    return f" (HTTP {response.status_code}{': ' + words.rstrip('.') if words else ''})"
