"""What a server that stands for GitHub's API can do instead of its work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from starlette.responses import HTMLResponse, JSONResponse, Response


class Fault(StrEnum):
    """Something that GitHub, or what stands before it, does."""

    BAD_GATEWAY = "bad-gateway"
    """502 with an HTML body, as GitHub's own load balancer answers."""
    DROP = "drop"
    """Closes the connection without an answer; nothing was done."""
    DROP_AFTER = "drop-after"
    """Does its work, then closes the connection without an answer."""
    STALL = "stall"
    """Answers after two seconds."""
    SECONDARY_LIMIT = "secondary-limit"
    """403 with `Retry-After: 0`."""
    SLOW_LIMIT = "slow-limit"
    """403 that asks to wait for an hour."""
    SILENT_LIMIT = "silent-limit"
    """403 that names the limit, and not how long it lasts."""
    TOO_MANY = "too-many"
    """429 with `Retry-After: 1`."""
    BAD_RETRY_AFTER = "bad-retry-after"
    """429 with a date in `Retry-After`."""
    FORBIDDEN = "forbidden"
    """403, as a token without the permission gets it."""
    UNAUTHORIZED = "unauthorized"
    """401 that repeats the token."""
    NOT_FOUND = "not-found"
    """404, as a token that may not see the repository gets it."""
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
    """A fault that is on.

    Attributes:
        kind: What happens.
        method: To requests of which method.
        path: How their paths end.
        times: How many more of them; -1 for all.
    """

    kind: Fault
    method: str
    path: str
    times: int = 1

    def takes(self, method: str, path: str) -> bool:
        """Say whether a request meets the fault, which then is on for one less."""
        if self.times == 0 or method != self.method or not path.endswith(self.path):
            return False
        self.times -= 1
        return True


def refusal(kind: Fault | None, authorization: str) -> Response | None:
    """Return what is answered instead, or None where the request goes on."""
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
