"""Makes an OCI image of one layer out of a root filesystem; the same tar file gives the same digest."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pipeline.rules.platforms import host_platform

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_CHUNK_BYTES = 1 << 20
# A third faster than the usual 6, and 7 % larger; it never leaves this machine.
_COMPRESSION = 3
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer on disk.

    Attributes:
        file: The gzipped tar file.
        digest: `sha256:…` of that file.
        diff_id: `sha256:…` of the tar file inside.
        size: Length of the gzipped file in bytes.
    """

    file: Path
    digest: str
    diff_id: str
    size: int


class _Hashing:
    """A file for `gzip` to write to, which counts and hashes what goes through."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def compress_layer(tar: Path, into: Path) -> Layer:
    """Compress a tar file, without any date in it.

    Args:
        tar: The root filesystem.
        into: The gzipped file to make.
    """
    plain = hashlib.sha256()
    with tar.open("rb") as source, into.open("wb") as target:
        hashing = _Hashing(target)
        with gzip.GzipFile("", "wb", _COMPRESSION, hashing, mtime=0) as packed:
            while chunk := source.read(_CHUNK_BYTES):
                plain.update(chunk)
                packed.write(chunk)
    return Layer(into, f"sha256:{hashing.sha256.hexdigest()}", f"sha256:{plain.hexdigest()}", hashing.size)


def image_config(layer: Layer, *, created: int, made_by: str) -> bytes:
    """Return the configuration of an image with one layer, as JSON.

    Args:
        layer: The root filesystem.
        created: Seconds since 1970 that the image is dated to.
        made_by: The command that the image's history names.
    """
    date = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _canonical(
        {
            "architecture": host_platform().architecture,
            "config": {"Cmd": ["bash"], "Env": [f"PATH={_PATH}"]},
            "created": date,
            "history": [{"created": date, "created_by": made_by}],
            "os": "linux",
            "rootfs": {"diff_ids": [layer.diff_id], "type": "layers"},
        }
    )


def image_manifest(config: bytes, layer: Layer) -> bytes:
    """Return the manifest that holds a configuration and its one layer together, as JSON."""
    return _canonical(
        {
            "config": {"digest": sha256_digest(config), "mediaType": _CONFIG_TYPE, "size": len(config)},
            "layers": [{"digest": layer.digest, "mediaType": _LAYER_TYPE, "size": layer.size}],
            "mediaType": MANIFEST_TYPE,
            "schemaVersion": 2,
        }
    )


def sha256_digest(data: bytes) -> str:
    """Return the digest of some bytes, `sha256:` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _canonical(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
