"""The scalar `Platform`, and what cannot be done for a platform other than the host's."""

from __future__ import annotations

from ci.engine.errors import NotServedError, QueryFailedError
from pipeline.rules.platforms import Platform, find_platform, host_platform


def read_platform(text: str) -> Platform:
    """Read a platform such as `linux/arm64`.

    Raises:
        QueryFailedError: It is not valid.
    """
    found = find_platform(text)
    if found is None:
        msg = f"invalid platform {text!r}: expected os/architecture, such as linux/amd64"
        raise QueryFailedError(msg)
    return found


def require_host(field: str, platform: Platform) -> None:
    """Refuse to run commands for a platform other than the host's.

    Raises:
        NotServedError: It is a different platform.
    """
    host = host_platform()
    if not platform.matches(host):
        what = f"{field} for {platform} on a {host} machine"
        raise NotServedError(what)
