"""Names of images: the registry, the repository in it, and references by tag and by digest.

Pure. The grammar is the OCI distribution specification's (v1.1, "Pulling manifests").
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

from pipeline.rules.errors import ImageNameError
from pipeline.rules.refs import shown

TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
"""What a tag may be, by the OCI distribution specification."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
# What container tools take for a registry: any other first part is a folder of Docker Hub to them.
_READS_AS_REGISTRY = re.compile(r".*[.:].*|localhost", re.IGNORECASE)
_GITHUB_ORIGIN = re.compile(
    r"(?:https?://(?:[^@/]+@)?|ssh://(?:[^@/]+@)?|git://|(?:[^@/:]+@))?"
    r"(?:(?i:(?:www\.|ssh\.)?github\.com))(?::[0-9]+)?[/:]+"
    r"(?P<owner>[A-Za-z0-9_-]+)/(?P<repository>[A-Za-z0-9._-]+?)(?:\.git)?/?"
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LONGEST_REPOSITORY = 255
_HIGHEST_PORT = 65_535


class ImageName(BaseModel):
    """A repository in a registry, without tag or digest."""

    model_config = ConfigDict(frozen=True)

    registry: str
    repository: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"

    def tagged(self, tag: str) -> str:
        """Return the reference by tag."""
        return f"{self}:{tag}"

    def at(self, digest: str) -> str:
        """Return the reference by digest, which never moves."""
        return f"{self}@{digest}"

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, and so spoken to by plain HTTP."""
        return is_loopback(self.registry)


class GitHubRepository(BaseModel):
    """A repository on GitHub, as an origin's URL names it."""

    model_config = ConfigDict(frozen=True)

    owner: str
    name: str

    @property
    def url(self) -> str:
        """Return its web page."""
        return f"https://github.com/{self.owner}/{self.name}"

    def commit_url(self, commit: str) -> str:
        """Return the web page of one commit."""
        return f"{self.url}/commit/{commit}"


def image_name(registry: str, owner: str, name: str) -> ImageName:
    """Put an image's name together and check it.

    Args:
        registry: Host and optional port, such as `ghcr.io` or `localhost:5001`.
        owner: Who the image belongs to; written in lower case, as GitHub's owners know no case.
        name: The image's own name, in lower case.

    Raises:
        ImageNameError: The registry, the owner or the name is not valid.
    """
    if _REGISTRY.fullmatch(registry) is None or _port(registry) > _HIGHEST_PORT:
        msg = f"The registry {shown(registry)} is not a host name with an optional port."
        raise ImageNameError(msg, hint="Give it without a scheme or a path, such as ghcr.io or localhost:5001.")
    if _READS_AS_REGISTRY.fullmatch(registry) is None:
        msg = f"The registry {shown(registry)} has no dot and no port, so container tools read it as part of a name."
        raise ImageNameError(msg, hint="Give its whole host name, or its port too, such as registry:5000.")
    repository = f"{owner.lower()}/{name}"
    if _REPOSITORY.fullmatch(repository) is None or len(repository) > _LONGEST_REPOSITORY:
        msg = f"The image name {shown(f'{owner}/{name}')} is not valid."
        hint = "Use lower-case letters, digits and single . _ - between them, such as linkradar/lr-backend."
        raise ImageNameError(msg, hint=hint)
    return ImageName(registry=registry.lower(), repository=repository)


def is_loopback(registry: str) -> bool:
    """Say whether a registry's host is this machine."""
    host = registry[: registry.rfind("]") + 1] if registry.startswith("[") else registry.partition(":")[0]
    return host.lower() in _LOOPBACK


def _port(registry: str) -> int:
    port = registry.rpartition(":")[2]
    return int(port) if port.isdigit() else 0


def github_repository(origin: str | None) -> GitHubRepository | None:
    """Read owner and name from an origin's URL, or None where it is not on GitHub.

    Args:
        origin: What `git config remote.origin.url` says: `https`, `ssh` or the short form with a colon.
    """
    match = None if origin is None else _GITHUB_ORIGIN.fullmatch(origin.strip())
    if match is None:
        return None
    return GitHubRepository(owner=match["owner"], name=match["repository"])
