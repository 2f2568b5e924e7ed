"""A registry of this machine, for where there is none: Debian's docker-registry on the loopback address."""

from ci.local_registry.access_log import Request, read_access_log
from ci.local_registry.server import down, running_registry, status, up
from ci.local_registry.settings import (
    DEFAULT_PORT,
    HUB,
    Mirror,
    RegistrySettings,
    RegistryStatus,
    hub_mirror,
)

__all__ = [
    "DEFAULT_PORT",
    "HUB",
    "Mirror",
    "RegistrySettings",
    "RegistryStatus",
    "Request",
    "down",
    "hub_mirror",
    "read_access_log",
    "running_registry",
    "status",
    "up",
]
