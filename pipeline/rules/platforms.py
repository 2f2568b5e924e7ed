"""Platforms: an operating system and a processor architecture, named as images name them.

Pure. The names are Go's GOOS and GOARCH (OCI image specification, "Image Index", `platform`).
"""

from __future__ import annotations

import platform as host
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from pipeline.rules.errors import UsageError
from pipeline.rules.text import quoted

_PLATFORM = re.compile(r"(?P<system>[a-z]+)/(?P<architecture>[a-z0-9]+)(?:/(?P<variant>v[0-9]+))?")
_BY_MACHINE = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "i686": "386",
    "i386": "386",
}
"""What `uname -m` prints, and the architecture that it stands for."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on.

    Attributes:
        system: The operating system, such as `linux`.
        architecture: The processor architecture, such as `amd64`.
        variant: The architecture's variant, such as `v7`; empty if there is none.
    """

    system: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.system, self.architecture, self.variant) if part)

    def matches(self, other: Platform) -> bool:
        """Return whether two platforms have the same system and architecture; variants are not compared."""
        return (self.system, self.architecture) == (other.system, other.architecture)


@dataclass(frozen=True, slots=True)
class Platforms:
    """What an image is built for: one platform, or several, whose images an image index holds.

    Attributes:
        each: The platforms, in the order of their names. No two have the same system and architecture.
    """

    each: tuple[Platform, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.each))

    def match(self, others: Collection[Platform]) -> bool:
        """Return whether these are the same platforms; see `Platform.matches`."""
        return len(others) == len(self.each) and all(any(one.matches(other) for other in others) for one in self.each)

    def preferred(self, own: Platform) -> Platform:
        """Return the one to run commands for: an engine's own platform if it is among them, otherwise the first."""
        return next((platform for platform in self.each if platform.matches(own)), self.each[0])


def find_platform(text: str) -> Platform | None:
    """Read a platform such as `linux/amd64` or `linux/arm/v7`, or return None if it is not valid."""
    match = _PLATFORM.fullmatch(text)
    return None if match is None else Platform(match["system"], match["architecture"], match["variant"] or "")


def parse_platform(text: str) -> Platform:
    """Read a platform such as `linux/amd64` or `linux/arm/v7`.

    Raises:
        UsageError: It is not a valid platform.
    """
    found = find_platform(text)
    if found is None:
        msg = f"Invalid platform {quoted(text)}: expected os/architecture, such as linux/amd64."
        raise UsageError(msg)
    return found


def parse_platforms(text: str) -> Platforms:
    """Read platforms that are separated by commas, such as `linux/amd64,linux/arm64`.

    Raises:
        UsageError: One of them is not valid, or two are variants of one architecture.
    """
    found = sorted({parse_platform(each.strip()) for each in text.split(",")}, key=str)
    for one, other in pairwise(found):
        if one.matches(other):
            msg = f"Invalid platforms {quoted(text)}: an image can have only one of {one} and {other}."
            raise UsageError(msg, hint="Publish each of them under its own --name.")
    return Platforms(tuple(found))


def host_platform() -> Platform:
    """Return the platform of Linux containers on this host's processor, such as `linux/amd64`."""
    machine = host.machine().lower()
    architecture, _, variant = _BY_MACHINE.get(machine, machine).partition("/")
    return Platform("linux", architecture, variant)
