"""A registry of this machine, for where there is none: Debian's docker-registry on the loopback address."""

from ci.local_registry.access_log import Request, read_access_log
from ci.local_registry.base_images import BaseImage, base_images
from ci.local_registry.seeding import Seeding, hub_answers, seed
from ci.local_registry.server import down, status, up
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
    "BaseImage",
    "Mirror",
    "RegistrySettings",
    "RegistryStatus",
    "Request",
    "Seeding",
    "base_images",
    "down",
    "hub_answers",
    "hub_mirror",
    "read_access_log",
    "seed",
    "status",
    "up",
]
