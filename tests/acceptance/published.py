"""What a registry holds and was asked, as the tests look at it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from pipeline.rules.tagging import INCOMING
from tests.access_log import Request
from tests.registry_fixtures import RunningRegistry

_ACCEPT = {"accept": "application/vnd.oci.image.manifest.v1+json"}
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Image:
    """One image's repository in a registry.

    Attributes:
        registry: The registry.
        repository: The path there.
    """

    registry: RunningRegistry
    repository: str = "linkradar/lr-backend"

    @property
    def name(self) -> str:
        """The whole name, without tag or digest."""
        return f"{self.registry.host}/{self.repository}"

    def tags(self) -> set[str]:
        """Return the names of its tags without that of uploads; none where there is no such repository."""
        with self.registry.client() as client:
            answer = client.get(f"/v2/{self.repository}/tags/list")
        tags = set() if answer.status_code == 404 else set(answer.raise_for_status().json()["tags"] or ())
        return tags - {INCOMING}

    def content(self, reference: str) -> bytes:
        """Return a manifest's bytes."""
        with self.registry.client() as client:
            address = f"/v2/{self.repository}/manifests/{reference}"
            return client.get(address, headers=_ACCEPT).raise_for_status().content

    def digest(self, reference: str) -> str:
        """Return the digest of a manifest's bytes."""
        return f"sha256:{hashlib.sha256(self.content(reference)).hexdigest()}"

    def manifest(self, reference: str) -> dict[str, Any]:
        """Return a manifest."""
        with self.registry.client() as client:
            address = f"/v2/{self.repository}/manifests/{reference}"
            found: dict[str, Any] = client.get(address, headers=_ACCEPT).raise_for_status().json()
        return found

    def blobs(self, reference: str) -> set[str]:
        """Return the digests of an image's layers and configuration."""
        manifest = self.manifest(reference)
        return {blob["digest"] for blob in [manifest["config"], *manifest["layers"]]}

    def config(self, reference: str) -> dict[str, Any]:
        """Return an image's configuration."""
        digest = self.manifest(reference)["config"]["digest"]
        with self.registry.client() as client:
            found: dict[str, Any] = client.get(f"/v2/{self.repository}/blobs/{digest}").raise_for_status().json()
        return found

    def labels(self, reference: str) -> dict[str, str]:
        """Return an image's labels."""
        found: dict[str, str] = self.config(reference)["config"]["Labels"]
        return found


def writes(requests: Sequence[Request]) -> list[Request]:
    """Return the requests that change something."""
    return [request for request in requests if request.method in _WRITES]


def blob_requests(requests: Sequence[Request]) -> list[Request]:
    """Return the requests that ask for a blob or send one."""
    return [request for request in requests if "/blobs/" in request.path]


def uploaded(requests: Sequence[Request]) -> list[str]:
    """Return the digests of the blobs that were sent whole, in that order."""
    ends = [request for request in requests if request.method == "PUT" and "/blobs/uploads/" in request.path]
    return [parse_qs(request.query)["digest"][0] for request in ends if request.status == 201]


def tags_written(requests: Sequence[Request]) -> list[str]:
    """Return the tags that were written, in that order."""
    found = (re.search(r"/manifests/(.+)", request.path) for request in requests if request.method == "PUT")
    return [match[1] for match in found if match is not None]
