"""Media types of images (OCI image specification v1.1, "Media Types", and Docker's image manifest v2, schema 2).

Pure.
"""

from __future__ import annotations

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER = f"{LAYER}+gzip"

MANIFEST_TYPES = (
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""The types of what a tag may point to."""
