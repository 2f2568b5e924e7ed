"""Writes an OCI image layout with an image of one layer (OCI image specification v1.1, "Image Layout")."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.rules.image_name import digest_of
from pipeline.rules.media_types import CONFIG, INDEX, LAYER, MANIFEST
from pipeline.rules.platforms import host_platform

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write_layout(layout: Path, root_filesystem: Path, *, created: int, made_by: str) -> None:
    """Write an image that runs bash in a root filesystem; the same tar file gives the same layout.

    Args:
        layout: The directory to create.
        root_filesystem: The tar file, which is moved into the layout uncompressed.
        created: The image's date, in seconds since 1970.
        made_by: The command that the image's history shows.
    """
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with root_filesystem.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    layer = {"digest": f"sha256:{digest}", "mediaType": LAYER, "size": root_filesystem.stat().st_size}
    root_filesystem.rename(blobs / digest)
    date = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = {
        "architecture": host_platform().architecture,
        "config": {"Cmd": ["bash"], "Env": [f"PATH={_PATH}"]},
        "created": date,
        "history": [{"created": date, "created_by": made_by}],
        "os": "linux",
        "rootfs": {"diff_ids": [layer["digest"]], "type": "layers"},
    }
    manifest = {
        "config": _write_blob(blobs, CONFIG, config),
        "layers": [layer],
        "mediaType": MANIFEST,
        "schemaVersion": 2,
    }
    index = {"manifests": [_write_blob(blobs, MANIFEST, manifest)], "mediaType": INDEX, "schemaVersion": 2}
    (layout / "index.json").write_bytes(_json(index))
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def _write_blob(blobs: Path, media_type: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write a JSON object as a blob and return its descriptor."""
    data = _json(content)
    digest = digest_of(data)
    (blobs / digest.removeprefix("sha256:")).write_bytes(data)
    return {"digest": digest, "mediaType": media_type, "size": len(data)}


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
