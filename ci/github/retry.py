"""Which requests to GitHub are retried, and when ("Best practices for using the REST API", "Rate limits").

Pure.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

import httpx
from githubkit.exception import GitHubException, RateLimitExceeded, RequestError, RequestFailed
from githubkit.retry import RetryOption

from ci.github.failures import creates_an_issue, is_rate_limit
from pipeline.rules.http_statuses import RETRIED

_SHORTEST = timedelta(milliseconds=1)  # githubkit waits a minute if the wait is zero


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the time and the retries that GitHub's API is given.

    Attributes:
        retries: How often one request is retried.
        first_wait: Seconds before the first retry; doubled for each further one.
        limit_wait: Seconds to wait if GitHub does not state how long a rate limit lasts; it recommends a minute.
        longest_wait: The longest wait in seconds that GitHub may request; if it requests more, the request fails.
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
        """Return the seconds to wait after a number of retries, with jitter."""
        return self.first_wait * 2.0**count * random.uniform(0.75, 1.25)  # noqa: S311 - spreads requests, hides nothing


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Decides for githubkit whether a request is retried."""

    limits: Limits

    def __call__(self, error: GitHubException, count: int) -> RetryOption:
        """Decide after a failure.

        Args:
            error: The failure.
            count: How often the request was retried already.
        """
        wait = None if count >= self.limits.retries else self._wait(error, count)
        if wait is None or wait > self.limits.longest_wait:
            return RetryOption(do_retry=False)
        return RetryOption(do_retry=True, retry_after=max(timedelta(seconds=wait), _SHORTEST))

    def _wait(self, error: GitHubException, count: int) -> float | None:
        """Return the seconds to wait before a retry, or None for no retry."""
        match error:
            case RateLimitExceeded(retry_after=requested):
                return max(requested.total_seconds(), self.limits.backoff(count) if count else 0.0)
            case RequestFailed(response=response) if is_rate_limit(response.raw_response):
                return self.limits.limit_wait
            case RequestFailed(response=response):
                again = response.status_code in RETRIED and not creates_an_issue(error)
            case RequestError(exc=httpx.TransportError()):
                again = not creates_an_issue(error)
            case _:
                again = False
        return self.limits.backoff(count) if again else None
