"""Small real images, and a builder that uploads them over HTTP as an engine would."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio.to_thread
import httpx

from pipeline.rules.errors import BuildError, TransientError
from pipeline.rules.planning import RunPlan

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUILDER_AGENT = "the-builder"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Image:
    """An image whose layers hold one file each.

    Attributes:
        labels: Its labels.
        files: The content of each layer's file.
        architecture: What it runs on.
        created: When it was built, if it says so.
    """

    labels: Mapping[str, str]
    files: tuple[bytes, ...] = (b"base", b"app")
    architecture: str = "amd64"
    created: str | None = None

    @property
    def layers(self) -> list[bytes]:
        return [gzip.compress(_tar(content), mtime=0) for content in self.files]

    @property
    def config(self) -> bytes:
        document = {
            "os": "linux",
            "architecture": self.architecture,
            "config": {"Labels": dict(self.labels)},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(_tar(content)) for content in self.files]},
        } | ({} if self.created is None else {"created": self.created})
        return json.dumps(document, sort_keys=True).encode()

    @property
    def manifest(self) -> bytes:
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", self.config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer) for layer in self.layers],
        }
        return json.dumps(document, sort_keys=True).encode()

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    def push(self, client: httpx.Client, repository: str, *tags: str) -> str:
        """Upload what is not there yet, as every client does, and write the manifest under each tag."""
        for blob in (*self.layers, self.config):
            _push_blob(client, repository, blob)
        for tag in tags or (self.digest,):
            put_manifest(client, repository, tag, self.manifest)
        return self.digest


def index_of(images: Mapping[str, Image]) -> bytes:
    """Return an index of images by platform, such as `linux/amd64`; their manifests must be uploaded too."""
    entries = []
    for platform, image in images.items():
        system, _, architecture = platform.partition("/")
        named = {"platform": {"os": system, "architecture": architecture}}
        entries.append(_descriptor(MANIFEST, image.manifest) | named)
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def put_manifest(client: httpx.Client, repository: str, tag: str, content: bytes, media_type: str = MANIFEST) -> None:
    path = f"/v2/{repository}/manifests/{tag}"
    client.put(path, content=content, headers={"Content-Type": media_type}).raise_for_status()


@dataclass
class Builder:
    """An `ImageBuilder` that makes a small image with a plan's labels.

    Attributes:
        plan: What the image is; that of the build once there was one.
        url: The registry's.
        auth: User and password.
        files: What the image holds.
        created: When the image was built, if it says so.
        during_build: Runs while the image is built.
        fails: Whether it cannot be built.
        upload_fails: How many uploads fail by what may pass by itself.
        calls: What was asked of it.
    """

    plan: RunPlan
    url: str
    auth: tuple[str, str] | None = None
    files: tuple[bytes, ...] = (b"base", b"app")
    created: str | None = None
    during_build: Callable[[], Awaitable[None]] | None = None
    fails: bool = False
    upload_fails: int = 0
    calls: list[str] = field(default_factory=list)

    @property
    def image(self) -> Image:
        return Image(self.plan.labels({}), self.files, created=self.created)

    async def content(self) -> str:
        self.calls.append("content")
        return digest_of(b"".join(self.files))

    async def build(self, plan: RunPlan) -> None:
        self.calls.append("build")
        self.plan = plan
        if self.during_build is not None:
            await self.during_build()
        if self.fails:
            msg = "It could not be built."
            raise BuildError(msg)

    async def upload(self, plan: RunPlan, reference: str) -> str:
        assert plan == self.plan
        self.calls.append(f"upload {reference}")
        if self.upload_fails > 0:
            self.upload_fails -= 1
            msg = "short read."
            raise TransientError(msg)
        repository, tag = reference.removeprefix(f"{plan.image.registry}/").split(":")
        return await anyio.to_thread.run_sync(self._push, repository, tag)

    def _push(self, repository: str, tag: str) -> str:
        headers = {"User-Agent": BUILDER_AGENT}
        with httpx.Client(base_url=self.url, auth=self.auth, trust_env=False, headers=headers) as client:
            return self.image.push(client, repository, tag)


def _push_blob(client: httpx.Client, repository: str, blob: bytes) -> None:
    digest = digest_of(blob)
    if client.head(f"/v2/{repository}/blobs/{digest}").is_success:
        return
    begun = client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
    place = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
    client.put(place, content=blob, headers={"Content-Type": "application/octet-stream"}).raise_for_status()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
