"""Puts the base images that Docker Hub would give into the local registry, when the Hub cannot be reached."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from enum import StrEnum
from pathlib import Path

import anyio
import httpx
from anyio import to_thread

from ci.dockerfile.base_images import BaseImage
from ci.local_registry.debian import EPOCH, DebianBase, debian_base, make_root_filesystem
from ci.local_registry.image import (
    MANIFEST_TYPE,
    Layer,
    compress_layer,
    image_config,
    image_manifest,
    sha256_digest,
)
from ci.local_registry.locks import exclusive_lock
from ci.local_registry.settings import RegistrySettings
from pipeline.rules.errors import EngineError, RegistryError
from pipeline.rules.image_name import HUB

HUB_URL = "https://registry-1.docker.io"
"""Where Docker Hub's images are served."""

Notice = Callable[[str], None]
"""Takes one line on what is being done."""

_HUB_SECONDS = 2.5
_LOCK_SECONDS = 900.0
_REQUEST_SECONDS = 60.0
_CHUNK_BYTES = 1 << 20
_INDEX_TYPES = (
    MANIFEST_TYPE,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Seeding(StrEnum):
    """Where a build will get a base image from."""

    PRESENT = "present"  # from the local registry, which had it
    SEEDED = "seeded"  # from the local registry, which was just given it
    HUB = "hub"  # from Docker Hub, which answers
    ELSEWHERE = "elsewhere"  # from the registry that it names


async def seed(
    images: Iterable[BaseImage],
    settings: RegistrySettings,
    *,
    notice: Notice,
    auth: tuple[str, str] | None = None,
    hub_url: str = HUB_URL,
) -> dict[BaseImage, Seeding]:
    """See to it that every base image can be had, from Docker Hub or from the local registry.

    Debian's releases are made here once, when the Hub does not answer. Safe to call from several processes at once.

    Args:
        images: What the build starts from; see `base_images`.
        settings: The local registry, which runs.
        notice: Told what takes long.
        auth: User and password, for a local registry that asks for them.
        hub_url: Docker Hub.

    Returns:
        Where each image will come from, in the order given.

    Raises:
        EngineError: The Hub does not answer, and an image cannot be made here.
        RegistryError: The local registry does not take the image.
    """
    async with _client(settings, auth) as client:
        where = {image: await _find(client, image) for image in images}
        missing = [image for image, place in where.items() if place is Seeding.HUB]
        if missing and not await hub_answers(hub_url):
            recipes = {image: _recipe(image, settings) for image in missing}
            async with exclusive_lock(
                settings.folder / "seeding.lock",
                time_limit=_LOCK_SECONDS,
                on_wait=lambda: notice("Another run makes the base image; waiting for it."),
            ):
                for image, base in recipes.items():
                    where[image] = await _find(client, image)
                    if where[image] is Seeding.HUB:
                        await _make(client, image, base, settings, notice)
                        where[image] = Seeding.SEEDED
    return where


async def hub_answers(hub_url: str = HUB_URL) -> bool:
    """Tell whether a registry answers within two and a half seconds."""
    with anyio.move_on_after(_HUB_SECONDS):
        async with httpx.AsyncClient(timeout=_HUB_SECONDS) as client:
            try:
                response = await client.get(f"{hub_url}/v2/")
            except httpx.HTTPError:
                return False
        return "docker-distribution-api-version" in response.headers
    return False


def _client(settings: RegistrySettings, auth: tuple[str, str] | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{settings.port}",
        auth=auth,
        timeout=_REQUEST_SECONDS,
        trust_env=False,  # no proxy stands before this machine itself
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )


def _recipe(image: BaseImage, settings: RegistrySettings) -> DebianBase:
    base = debian_base(image)
    if base is None:
        msg = f"{image} cannot be had: Docker Hub does not answer, and only Debian's releases can be made here."
        copy = f"skopeo copy --dest-tls-verify=false docker://{image} docker://{_local_name(image, settings)}"
        raise EngineError(msg, hint=f"Build from debian:bookworm-slim, or, where the Hub answers: {copy}")
    return base


def _local_name(image: BaseImage, settings: RegistrySettings) -> str:
    return f"{settings.host}/{HUB}/{image.repository}:{image.tag or 'latest'}"


async def _find(client: httpx.AsyncClient, image: BaseImage) -> Seeding:
    if image.registry != HUB:
        return Seeding.ELSEWHERE
    address = f"/v2/{HUB}/{image.repository}/manifests/{image.version}"
    response = await _request(client, "HEAD", address, headers={"Accept": ", ".join(_INDEX_TYPES)})
    if response.status_code == httpx.codes.NOT_FOUND:
        return Seeding.HUB
    _expect(response, httpx.codes.OK)
    return Seeding.PRESENT


async def _make(
    client: httpx.AsyncClient, image: BaseImage, base: DebianBase, settings: RegistrySettings, notice: Notice
) -> None:
    notice(f"Docker Hub does not answer: making {image.repository}:{image.tag} of Debian's packages, once.")
    start = time.monotonic()
    folder = settings.folder / "seeding"
    await to_thread.run_sync(_empty, folder)  # one that was killed has left what it had made so far
    try:
        tar = folder / "layer.tar"
        await make_root_filesystem(base, tar)
        layer = await to_thread.run_sync(compress_layer, tar, tar.with_suffix(".tar.gz"))
        config = image_config(layer, created=EPOCH, made_by=f"mmdebstrap --variant=apt {base.suite}")
        await _push(client, image, layer, config)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - start
    notice(f"{_local_name(image, settings)} is there: {layer.size / 1e6:.0f} MB, {seconds:.0f} s.")


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)


async def _push(client: httpx.AsyncClient, image: BaseImage, layer: Layer, config: bytes) -> None:
    repository = f"/v2/{HUB}/{image.repository}"
    await _upload(client, repository, layer.digest, _chunks(layer.file), layer.size)
    await _upload(client, repository, sha256_digest(config), config, len(config))
    # The manifest comes last, so nobody ever sees half an image.
    manifest = image_manifest(config, layer)
    response = await _request(
        client,
        "PUT",
        f"{repository}/manifests/{image.tag}",
        content=manifest,
        headers={"Content-Type": MANIFEST_TYPE},
    )
    _expect(response, httpx.codes.CREATED)


async def _upload(
    client: httpx.AsyncClient, repository: str, digest: str, content: bytes | AsyncIterator[bytes], size: int
) -> None:
    opened = await _request(client, "POST", f"{repository}/blobs/uploads/")
    _expect(opened, httpx.codes.ACCEPTED)
    address = httpx.URL(opened.headers["Location"]).copy_merge_params({"digest": digest})
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    _expect(await _request(client, "PUT", address, content=content, headers=headers), httpx.codes.CREATED)


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(file, "rb") as source:
        while chunk := await source.read(_CHUNK_BYTES):
            yield chunk


async def _request(
    client: httpx.AsyncClient,
    method: str,
    address: str | httpx.URL,
    *,
    content: bytes | AsyncIterator[bytes] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    try:
        return await client.request(method, address, content=content, headers=headers)
    except httpx.HTTPError as error:
        msg = f"The local registry at {client.base_url} does not answer: {type(error).__name__}."
        raise RegistryError(msg, hint="Start it: lr-ci registry up") from error


def _expect(response: httpx.Response, status: int) -> None:
    if response.status_code != status:
        msg = f"The local registry answered {response.status_code} to {response.request.method} {response.url.path}."
        raise RegistryError(msg, hint="lr-ci registry status tells where its log is.")
