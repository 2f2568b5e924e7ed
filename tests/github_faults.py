"""Faults of the server in place of GitHub's API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from starlette.responses import HTMLResponse, JSONResponse, Response


class Fault(StrEnum):
    """A fault of GitHub, or of a proxy in front of it."""

    BAD_GATEWAY = "bad-gateway"
    """502 with an HTML body, as GitHub's own load balancer answers."""
    DROP = "drop"
    """Closes the connection without an answer, and does nothing."""
    DROP_AFTER = "drop-after"
    """Carries out the request, then closes the connection without an answer."""
    STALL = "stall"
    """Answers after two seconds."""
    SECONDARY_LIMIT = "secondary-limit"
    """403 with `Retry-After: 0`."""
    SLOW_LIMIT = "slow-limit"
    """403 that requests a wait of an hour."""
    SILENT_LIMIT = "silent-limit"
    """403 that states the limit, but not how long it lasts."""
    TOO_MANY = "too-many"
    """429 with `Retry-After: 1`."""
    BAD_RETRY_AFTER = "bad-retry-after"
    """429 with a date in `Retry-After`."""
    FORBIDDEN = "forbidden"
    """403, as for a token without the permission."""
    UNAUTHORIZED = "unauthorized"
    """401 with the token in the answer."""
    NOT_FOUND = "not-found"
    """404, as for a token without access to the repository."""
    GONE = "gone"
    """410: issues are disabled."""
    INVALID = "invalid"
    """422."""
    PORTAL = "portal"
    """200 with a page, as a captive portal answers."""


_LIMIT = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
_REFUSALS: dict[Fault, tuple[int, dict[str, str], str]] = {
    Fault.SECONDARY_LIMIT: (403, {"Retry-After": "0"}, _LIMIT),
    Fault.SLOW_LIMIT: (403, {"Retry-After": "3600"}, _LIMIT),
    Fault.SILENT_LIMIT: (403, {}, _LIMIT),
    Fault.TOO_MANY: (429, {"Retry-After": "1"}, _LIMIT),
    Fault.BAD_RETRY_AFTER: (429, {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}, _LIMIT),
    Fault.FORBIDDEN: (403, {}, "Resource not accessible by integration"),
    Fault.NOT_FOUND: (404, {}, "Not Found"),
    Fault.GONE: (410, {}, "Issues has been disabled in this repository."),
    Fault.INVALID: (422, {}, "Validation Failed"),
}


@dataclass
class Switch:
    """A fault and the requests that it affects.

    Attributes:
        kind: The fault.
        method: The requests' method.
        path: The end of their paths.
        times: The number of further requests; -1 for all.
    """

    kind: Fault
    method: str
    path: str
    times: int = 1

    def takes(self, method: str, path: str) -> bool:
        """Return whether a request is affected, and count it."""
        if self.times == 0 or method != self.method or not path.endswith(self.path):
            return False
        self.times -= 1
        return True


def refusal(kind: Fault | None, authorization: str) -> Response | None:
    """Return the answer of a fault, or None to carry out the request."""
    if kind is Fault.BAD_GATEWAY:
        return HTMLResponse("<html><h1>502 Bad Gateway</h1></html>", 502)
    if kind is Fault.PORTAL:
        return HTMLResponse("<html>Log in to the network</html>")
    if kind is Fault.UNAUTHORIZED:
        return JSONResponse({"message": f"Bad credentials: {authorization}"}, 401)
    if kind not in _REFUSALS:
        return None
    status, headers, message = _REFUSALS[kind]
    return JSONResponse({"message": message}, status, headers)
