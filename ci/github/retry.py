"""Which requests to GitHub are sent again, and when ("Best practices for using the REST API", "Rate limits").

Pure.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from githubkit.exception import GitHubException, RateLimitExceeded, RequestError, RequestFailed
from githubkit.retry import RetryOption

_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504})
_TOO_MANY = 429
_FORBIDDEN = 403
_SHORTEST = timedelta(milliseconds=1)  # githubkit takes no time at all for a minute


@dataclass(frozen=True, slots=True)
class Limits:
    """How long GitHub is given.

    Attributes:
        retries: How often one request is sent again.
        first_wait: Seconds before the first time; twice as long before each further one.
        limit_wait: Seconds to wait for a rate limit where GitHub does not say how long it lasts; it advises a minute.
        longest_wait: Seconds that GitHub may ask to wait for; where it asks for more, the request fails.
        request: Seconds for one request.
        total: Seconds for all of them together.
    """

    retries: int = 3
    first_wait: float = 1.0
    limit_wait: float = 60.0
    longest_wait: float = 90.0
    request: float = 30.0
    total: float = 300.0

    def backoff(self, count: int) -> float:
        """Return how many seconds to wait after a number of failures, with jitter."""
        return self.first_wait * 2.0**count * random.uniform(0.75, 1.25)  # noqa: S311 - spreads requests, hides nothing


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Decides for githubkit whether a request is sent again."""

    limits: Limits

    def __call__(self, error: GitHubException, count: int) -> RetryOption:
        """Decide after a failure.

        Args:
            error: What went wrong.
            count: How often the request was sent again already.
        """
        wait = None if count >= self.limits.retries else self._wait(error, count)
        if wait is None or wait > self.limits.longest_wait:
            return RetryOption(do_retry=False)
        return RetryOption(do_retry=True, retry_after=max(timedelta(seconds=wait), _SHORTEST))

    def _wait(self, error: GitHubException, count: int) -> float | None:
        match error:
            case RateLimitExceeded(retry_after=asked):
                return max(asked.total_seconds(), self.limits.backoff(count) if count else 0.0)
            case RequestFailed(response=response):
                if response.status_code == _TOO_MANY or is_secondary_limit(response.raw_response):
                    return self.limits.limit_wait
                again = response.status_code in _TRANSIENT and not makes_an_issue(error)
            case RequestError(exc=httpx.TransportError()):
                again = not makes_an_issue(error)
            case _:
                again = False
        return self.limits.backoff(count) if again else None


def is_secondary_limit(response: httpx.Response) -> bool:
    """Say whether GitHub refused for being asked too much at once, and not how long that lasts."""
    return response.status_code == _FORBIDDEN and "secondary rate limit" in response.text


def is_transient(error: RequestError[Any]) -> bool:
    """Say whether a request failed on its way or inside GitHub, so that nobody knows what became of it."""
    if isinstance(error, RequestFailed):
        return error.response.status_code in _TRANSIENT
    return isinstance(error.exc, httpx.TransportError)


def makes_an_issue(error: RequestError[Any]) -> bool:
    """Say whether sending the request twice would make two issues."""
    try:
        request = error.exc.request if isinstance(error.exc, httpx.RequestError) else getattr(error, "request", None)
    except RuntimeError:  # httpx knows no request: it never left
        return False
    return isinstance(request, httpx.Request) and request.method == "POST" and request.url.path.endswith("/issues")
