"""Manifests, indexes and descriptors (OCI image specification v1.1), as a registry holds them.

Pure: what a registry sent is read with care, as any of it may be missing or of another type.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.rules.image_name import DIGEST
from pipeline.rules.platforms import Platform

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""What may stand behind a tag, by media type."""


class Manifest(BaseModel):
    """A manifest or index, byte for byte as the registry holds it."""

    model_config = ConfigDict(frozen=True)

    content: bytes
    media_type: str
    digest: str

    def parsed(self) -> dict[str, Any]:
        """Return its JSON object.

        Raises:
            ValueError: It is none.
        """
        return json_object(self.content)


class ImageConfig(BaseModel):
    """What an image's configuration says, as far as it is read.

    Attributes:
        labels: Its labels.
        platform: Its platform; None if it has none.
    """

    model_config = ConfigDict(frozen=True)

    labels: dict[str, str] = {}
    platform: Platform | None = None


def image_config(content: bytes) -> ImageConfig:
    """Read a configuration.

    Raises:
        ValueError: It is not JSON, or not as it should be.
    """
    document = json_object(content)
    try:
        labels = (document.get("config") or {}).get("Labels") or {}
        return ImageConfig(
            labels={str(key): str(value) for key, value in labels.items()},
            platform=_platform(document),
        )
    except AttributeError as error:
        raise ValueError(error) from error


def digest_of(content: bytes) -> str:
    """Return the digest that names these bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_in(descriptor: object) -> str | None:
    """Return a descriptor's digest, or None where it has none that is valid."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return digest if isinstance(digest, str) and DIGEST.fullmatch(digest) is not None else None


def json_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: It is none.
    """
    try:
        value = json.loads(content)
    except RecursionError as error:
        msg = "nested too deep"
        raise ValueError(msg) from error
    if not isinstance(value, dict):
        msg = "not an object"
        raise ValueError(msg)  # noqa: TRY004 # what a server sends is a value, not a caller's mistake
    return value


def digest_for_platform(descriptors: list[Any], platform: Platform) -> str | None:
    """Return the digest of an index's image for a platform such as `linux/amd64`, or None where it has none."""
    for descriptor in descriptors:
        named = descriptor.get("platform") if isinstance(descriptor, dict) else None
        found = _platform(named) if isinstance(named, dict) else None
        if found is not None and found.matches(platform):
            return digest_in(descriptor)
    return None


def _platform(document: dict[str, Any]) -> Platform | None:
    """Read the platform of a configuration, or of an index's descriptor."""
    system, architecture = document.get("os"), document.get("architecture")
    if not (isinstance(system, str) and isinstance(architecture, str) and system and architecture):
        return None
    return Platform(system, architecture)
