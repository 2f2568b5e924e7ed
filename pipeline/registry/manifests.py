"""Manifests, indexes and descriptors (OCI image specification v1.1), as a registry holds them.

Pure. In a registry's answer, anything may be missing or of another type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.rules.image_name import DIGEST
from pipeline.rules.platforms import Platform
from pipeline.rules.runtime_checks import ImageRuntime, image_runtime

_FIRST_IMAGES = datetime(2013, 3, 1, tzinfo=UTC)
"""When Docker was first shown."""
_UNKNOWN = "unknown"
"""The platform's system in an index's entry that is not an image, as BuildKit writes it for attestations."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index.

    Attributes:
        content: Its bytes, as the registry holds them.
        media_type: Its media type.
        digest: The digest of its content.
    """

    content: bytes
    media_type: str
    digest: str

    def parsed(self) -> dict[str, Any]:
        """Return its JSON object.

        Raises:
            ValueError: The content is not a JSON object.
        """
        return json_object(self.content)

    def variants(self) -> Mapping[str, Platform] | None:
        """Return the platforms of an index's images by their digests, or None if it is not an index.

        Entries without a valid digest or platform, such as attestations, are left out.

        Raises:
            ValueError: The content is not a JSON object.
        """
        descriptors = self.parsed().get("manifests")
        if not isinstance(descriptors, list):
            return None
        found: dict[str, Platform] = {}
        for descriptor in descriptors:
            digest = digest_in(descriptor)
            platform = _platform(descriptor.get("platform")) if isinstance(descriptor, dict) else None
            if digest is not None and platform is not None and platform.system != _UNKNOWN:
                found[digest] = platform
        return found


@dataclass(frozen=True, slots=True)
class ImageProperties:
    """What is read of an image's configuration.

    Attributes:
        labels: Its labels.
        platform: Its platform; None if it has none.
        runtime: How it runs.
        created: When it was built; None if it does not say.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    runtime: ImageRuntime = field(default_factory=ImageRuntime)
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as a registry holds it.

    Attributes:
        manifest: Its manifest.
        configuration: The bytes of its configuration; empty if it has none.
        properties: What that says.
    """

    manifest: Manifest
    configuration: bytes
    properties: ImageProperties


def image_properties(content: bytes) -> ImageProperties:
    """Read a configuration.

    Raises:
        ValueError: The content is not a valid configuration.
    """
    document = json_object(content)
    try:
        labels = (document.get("config") or {}).get("Labels") or {}
        return ImageProperties(
            labels={str(key): str(value) for key, value in labels.items()},
            platform=_platform(document),
            runtime=image_runtime(document.get("config")),
            created=_build_time(document.get("created")),
        )
    except AttributeError as error:
        raise ValueError(error) from error


def _build_time(value: object) -> datetime | None:
    """Read when an image was built. Reproducible builds write a fixed date, which lies before the first images."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if time is None:
        return None
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return time if time >= _FIRST_IMAGES else None


def digest_in(descriptor: object) -> str | None:
    """Return a descriptor's digest, or None if it has no valid one."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return digest if isinstance(digest, str) and DIGEST.fullmatch(digest) is not None else None


def json_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: The content is not a JSON object.
    """
    try:
        value = json.loads(content)
    except RecursionError as error:
        msg = "nested too deep"
        raise ValueError(msg) from error
    if not isinstance(value, dict):
        msg = "not an object"
        raise ValueError(msg)  # noqa: TRY004 # a server's answer has a wrong value; no caller passed a wrong type
    return value


def _platform(document: object) -> Platform | None:
    """Read the platform of a configuration, or of an index's descriptor."""
    if not isinstance(document, dict):
        return None
    system, architecture, variant = (document.get(name) or "" for name in ("os", "architecture", "variant"))
    if not (isinstance(system, str) and isinstance(architecture, str) and system and architecture):
        return None
    return Platform(system, architecture, variant if isinstance(variant, str) else "")
