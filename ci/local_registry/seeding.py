"""Puts Debian's base images into the local registry while Docker Hub cannot be reached."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
import httpx
from anyio import to_thread

from ci.dockerfile.base_images import BaseImage
from ci.local_registry.debian import EPOCH, DebianBase, debian_base, make_root_filesystem
from ci.local_registry.locks import exclusive_lock
from ci.local_registry.oci_layout import write_layout
from ci.local_registry.port_checks import loopback_client
from ci.local_registry.settings import RegistrySettings
from ci.system.processes import run_process
from pipeline.rules.errors import EngineError, RegistryError
from pipeline.rules.image_name import HUB, HUB_API
from pipeline.rules.media_types import MANIFEST_TYPES
from pipeline.rules.text import last_lines

_HUB_URL = f"https://{HUB_API}"
_HUB_SECONDS = 2.5
_LOCK_SECONDS = 900.0
_REQUEST_SECONDS = 60.0
_PUSH_SECONDS = 300.0


async def seed(
    images: Iterable[BaseImage],
    settings: RegistrySettings,
    *,
    notice: Callable[[str], None],
    hub_url: str = _HUB_URL,
) -> None:
    """Make every image of Docker Hub available, from there or from the local registry.

    If the Hub does not answer, Debian's releases are built locally, once. Safe to call from several processes at once.

    Args:
        images: The images that a build starts from; see `base_images`.
        settings: The local registry, which is running and requires no password.
        notice: Called with a message about each step that takes long.
        hub_url: Docker Hub.

    Raises:
        EngineError: The Hub does not answer, and an image cannot be built locally.
        RegistryError: The local registry did not accept an image.
    """
    async with loopback_client(settings.port, timeout=_REQUEST_SECONDS) as client:
        missing = [image for image in images if image.registry == HUB and not await _has(client, image)]
        if not missing or await hub_answers(hub_url):
            return
        recipes = {image: _recipe(image, settings) for image in missing}
        async with exclusive_lock(
            settings.folder / "seeding.lock",
            time_limit=_LOCK_SECONDS,
            on_wait=lambda: notice("Waiting for another run, which builds the base image."),
        ):
            for image, base in recipes.items():
                if not await _has(client, image):
                    await _make(image, base, settings, notice)


async def hub_answers(hub_url: str = _HUB_URL) -> bool:
    """Return whether a registry answers within two and a half seconds."""
    with anyio.move_on_after(_HUB_SECONDS):
        async with httpx.AsyncClient(timeout=_HUB_SECONDS) as client:
            try:
                response = await client.get(f"{hub_url}/v2/")
            except httpx.HTTPError:
                return False
        return "docker-distribution-api-version" in response.headers
    return False


def _recipe(image: BaseImage, settings: RegistrySettings) -> DebianBase:
    base = debian_base(image)
    if base is None:
        msg = f"{image} is not available: Docker Hub does not answer, and only Debian's releases can be built locally."
        copy = f"skopeo copy --dest-tls-verify=false docker://{image} docker://{_local_name(image, settings)}"
        raise EngineError(msg, hint=f"Build from debian:bookworm-slim, or copy it while the Hub can be reached: {copy}")
    return base


def _local_name(image: BaseImage, settings: RegistrySettings) -> str:
    return f"{settings.host}/{HUB}/{image.repository}:{image.tag or 'latest'}"


async def _has(client: httpx.AsyncClient, image: BaseImage) -> bool:
    path = f"/v2/{HUB}/{image.repository}/manifests/{image.version}"
    try:
        response = await client.head(path, headers={"Accept": ", ".join(MANIFEST_TYPES)})
    except httpx.HTTPError as error:
        msg = f"The local registry at {client.base_url} does not answer: {type(error).__name__}."
        raise RegistryError(msg, hint="Start it: lr-ci registry up") from error
    if response.status_code not in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
        msg = f"The local registry at {client.base_url} answered HTTP {response.status_code} for {path}."
        raise RegistryError(msg, hint="Restart it: lr-ci registry down && lr-ci registry up")
    return response.status_code == httpx.codes.OK


async def _make(image: BaseImage, base: DebianBase, settings: RegistrySettings, notice: Callable[[str], None]) -> None:
    notice(f"Docker Hub does not answer: building {image.repository}:{image.tag} from Debian's packages, once.")
    start = time.monotonic()
    folder = settings.folder / "seeding"
    await to_thread.run_sync(_empty, folder)  # a run that was killed leaves its files
    try:
        tar, layout = folder / "root.tar", folder / "image"
        await make_root_filesystem(base, tar)
        made_by = f"mmdebstrap --variant=apt {base.suite}"
        await to_thread.run_sync(lambda: write_layout(layout, tar, created=EPOCH, made_by=made_by))
        await _push(layout, image, settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    notice(f"{_local_name(image, settings)} is ready ({time.monotonic() - start:.0f} s).")


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)


async def _push(layout: Path, image: BaseImage, settings: RegistrySettings) -> None:
    """Compress and push an image; skopeo's gzip has no date, so the same layout gives the same digest."""
    target = f"127.0.0.1:{settings.port}/{HUB}/{image.repository}:{image.tag}"
    # The image was made here, so the host's signature policy does not apply, nor do the user's credentials.
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", "--dest-no-creds"]
    try:
        ended = await run_process([*command, f"oci:{layout}", f"docker://{target}"], time_limit=_PUSH_SECONDS)
    except FileNotFoundError as error:
        msg = f"Cannot push {image}: skopeo is not installed."
        raise EngineError(msg, hint="Install it with `make setup`, or: apt-get install skopeo") from error
    except TimeoutError as error:
        msg = f"skopeo did not push {image} to the local registry within {_PUSH_SECONDS:.0f} s."
        raise RegistryError(msg, hint="Is the disk full? See: lr-ci registry status") from error
    if ended.exit_code != 0:
        msg = f"skopeo could not push {image} to the local registry: {last_lines(ended.stderr, 1)}"
        raise RegistryError(msg, hint=f"See the registry's log: {settings.server_log}")
