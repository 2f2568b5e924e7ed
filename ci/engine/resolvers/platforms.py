"""The scalar `Platform`, and for which platforms commands can run."""

from __future__ import annotations

from ci.engine.errors import QueryFailedError
from ci.system.binfmt import runnable_platforms
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


def require_runnable(field: str, platform: Platform) -> None:
    """Refuse to run commands for a platform whose programs this machine cannot run.

    Raises:
        QueryFailedError: It is neither the host's own nor one that an emulator is registered for.
    """
    if not any(platform.matches(runnable) for runnable in runnable_platforms()):
        # The kernel's own message comes first: callers recognize it on every engine.
        msg = f"exec format error: {field} for {platform} cannot run on a {host_platform()} machine without an emulator"
        raise QueryFailedError(msg)
