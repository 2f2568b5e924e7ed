"""Image names and references: a registry, a repository in it, and a tag or digest.

Pure. The grammar is the OCI distribution specification's (v1.1, "Pulling manifests"); a reference with parts left out
is read as Docker reads it (github.com/distribution/reference, "normalized names").
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass

from pipeline.rules.errors import ImageNameError, UsageError
from pipeline.rules.text import quoted

HUB = "docker.io"
"""The registry of a reference that does not contain one: Docker Hub."""

HUB_API = "registry-1.docker.io"
"""The host of Docker Hub's HTTP API."""

TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
"""A tag, by the OCI distribution specification."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
# Container tools read any other first part of a name as a namespace on Docker Hub.
_READS_AS_REGISTRY = re.compile(r".*[.:].*|localhost", re.IGNORECASE)
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_REGISTRY.pattern}/)?{_REPOSITORY.pattern})"
    rf"(?::(?P<tag>{TAG.pattern}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?"
)
_DEFAULT_TAG = "latest"
_HUB_ALIAS = "index.docker.io"
_HUB_NAMESPACE = "library"
_LONGEST_REPOSITORY = 255
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class ImageName:
    """A repository in a registry, without tag or digest."""

    registry: str
    repository: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def owner(self) -> str:
        """The first part of the repository: the user or organisation it belongs to."""
        return self.repository.partition("/")[0]

    @property
    def name(self) -> str:
        """The last part of the repository: the image's own name."""
        return self.repository.rpartition("/")[2]

    def tagged(self, tag: str) -> str:
        """Return the reference by tag."""
        return f"{self}:{tag}"

    def at(self, digest: str) -> str:
        """Return the reference by digest, which never moves."""
        return f"{self}@{digest}"

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on the loopback interface, and so is reached by plain HTTP."""
        return is_loopback(self.registry)

    @property
    def port(self) -> int | None:
        """The registry's port, or None if its name has none."""
        return _port(self.registry)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference with nothing left out.

    Attributes:
        registry: Host and optional port; `docker.io` if the reference contains none.
        repository: The repository, such as `library/debian`.
        tag: The tag; `latest` if the reference has neither tag nor digest, None if it has a digest alone.
        digest: The digest, or None.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None = None

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return f"{self.registry}/{self.repository}{tag}" + ("" if self.digest is None else f"@{self.digest}")

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on the loopback interface."""
        return is_loopback(self.registry)


def image_name(registry: str, owner: str | None, name: str) -> ImageName:
    """Join the parts of an image's name and check them.

    Args:
        registry: Host and optional port, such as `ghcr.io` or `localhost:5001`.
        owner: The image's owner, if it has one; converted to lower case, as GitHub's owners are case-insensitive.
        name: The image's own name, in lower case.

    Raises:
        ImageNameError: The registry, the owner or the name is not valid.
    """
    if _REGISTRY.fullmatch(registry) is None or (_port(registry) or 0) > HIGHEST_PORT:
        msg = f"Invalid registry {quoted(registry)}: expected a host name with an optional port."
        raise ImageNameError(msg, hint="Give it without scheme and path, such as ghcr.io or localhost:5001.")
    if _READS_AS_REGISTRY.fullmatch(registry) is None:
        msg = f"Invalid registry {quoted(registry)}: container tools read it as part of the image name."
        raise ImageNameError(
            msg,
            hint="It has neither a dot nor a port: give the full host name, or add the port, such as registry:5000.",
        )
    repository = name if owner is None else f"{owner.lower()}/{name}"
    if _REPOSITORY.fullmatch(repository) is None or len(repository) > _LONGEST_REPOSITORY:
        msg = f"Invalid image name {quoted(name if owner is None else f'{owner}/{name}')}."
        hint = "Use lower-case letters and digits, separated by single . _ or -, such as acme/api."
        raise ImageNameError(msg, hint=hint)
    return ImageName(registry=registry.lower(), repository=repository)


def is_image_name(name: str) -> bool:
    """Return whether a name is valid without its registry and owner."""
    return _REPOSITORY.fullmatch(name) is not None and len(name) <= _LONGEST_REPOSITORY


def parse_reference(text: str) -> Reference | None:
    """Read an image reference as Docker does, or return None if it is not valid.

    `debian` is `docker.io/library/debian:latest`; `localhost:5001/a/b:1@sha256:…` has all its parts.

    Args:
        text: The reference, as in a Dockerfile's FROM or in `docker pull`.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    first, slash, rest = match["name"].partition("/")
    registry, repository = (first, rest) if slash and _READS_AS_REGISTRY.fullmatch(first) else (HUB, match["name"])
    if _REPOSITORY.fullmatch(repository) is None or len(repository) > _LONGEST_REPOSITORY:
        return None
    if registry == _HUB_ALIAS:
        registry = HUB
    if registry == HUB and "/" not in repository:
        repository = f"{_HUB_NAMESPACE}/{repository}"
    tag, digest = match["tag"], match["digest"]
    return Reference(registry, repository, _DEFAULT_TAG if tag is None and digest is None else tag, digest)


def parse_digest(text: str) -> str:
    """Return a digest as it is.

    Raises:
        UsageError: It is not a valid digest.
    """
    if DIGEST.fullmatch(text) is None:
        msg = f"{quoted(text)} is not a valid digest."
        raise UsageError(msg, hint="Give sha256: and 64 hex digits, as build-and-push prints it.")
    return text


def digest_of(content: bytes) -> str:
    """Return the digest of a manifest's or blob's bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def check_port(port: int) -> None:
    """Check a TCP port.

    Raises:
        UsageError: It is not valid.
    """
    if not 1 <= port <= HIGHEST_PORT:
        msg = f"Invalid port {port}: it must be between 1 and {HIGHEST_PORT}."
        raise UsageError(msg)


def is_loopback(registry: str) -> bool:
    """Return whether a registry's host is `localhost`, in 127.0.0.0/8 (RFC 1122) or `[::1]` (RFC 4291)."""
    host = registry[1 : registry.rfind("]")] if registry.startswith("[") else registry.partition(":")[0]
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(registry: str) -> int | None:
    port = registry[registry.rfind("]") + 1 :].partition(":")[2]
    return int(port) if port else None
