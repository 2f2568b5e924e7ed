"""A registry of this machine, for where there is none: Debian's docker-registry on the loopback address."""

from ci.local_registry.access_log import Request, read_access_log
from ci.local_registry.seeding import Notice, Seeding, hub_answers, seed
from ci.local_registry.server import down, running_registry, status, up
from ci.local_registry.settings import (
    DEFAULT_PORT,
    RegistrySettings,
    RegistryStatus,
)

__all__ = [
    "DEFAULT_PORT",
    "Notice",
    "RegistrySettings",
    "RegistryStatus",
    "Request",
    "Seeding",
    "down",
    "hub_answers",
    "read_access_log",
    "running_registry",
    "seed",
    "status",
    "up",
]
