"""Provides the base images of a Dockerfile to the embedded engine when Docker Hub cannot be reached."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ci.dockerfile.base_images import base_images
from ci.engine.store.storage import Mirror
from ci.local_registry import seeding
from ci.local_registry.server import status, up
from ci.local_registry.settings import RegistrySettings
from ci.system.folders import base_images_folder
from pipeline.rules.errors import RegistryError
from pipeline.rules.image_name import HUB


async def running_mirrors() -> list[Mirror]:
    """Return the mirror of Docker Hub in the local registry if that is running; nothing is started."""
    found = await status(RegistrySettings())
    return [hub_mirror(RegistrySettings(port=found.port))] if found.running else []


async def prepare_base_images(
    dockerfile: Path, notice: Callable[[str], None], build_args: Mapping[str, str] | None = None
) -> list[Mirror]:
    """Make the base images of a Dockerfile available, and return the mirrors that the engine must use.

    Nothing is started if the Dockerfile uses no image of Docker Hub, or if Docker Hub answers.

    Args:
        dockerfile: The Dockerfile on the host; if it cannot be read, the builder reports it.
        notice: Called with a message before a step that takes long.
        build_args: Build arguments, which may name base images.

    Raises:
        EngineError: A base image can neither be pulled nor built from Debian packages.
        RegistryError: The local registry does not work.
    """
    try:
        text = dockerfile.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    images = [image for image in base_images(text, build_args=build_args) if image.registry == HUB]
    if not images:
        return []
    settings = RegistrySettings()
    running = await status(settings)
    if running.asks_for_password:
        # That password is for published images; the builder does not have it.
        settings = RegistrySettings(folder=base_images_folder())
        running = await status(settings)
    if running.running:
        settings = replace(settings, port=running.port)
    elif await seeding.hub_answers():
        return []
    else:
        notice("Docker Hub does not answer: base images come from the local registry.")
        settings = await _start(settings)
    await seeding.seed(images, settings, notice=notice)
    return [hub_mirror(settings)]


def hub_mirror(settings: RegistrySettings) -> Mirror:
    """Return the mirror by which the local registry serves images of Docker Hub, such as `debian:bookworm-slim`."""
    return Mirror(HUB, f"{settings.host}/{HUB}")


async def _start(settings: RegistrySettings) -> RegistrySettings:
    """Start the local registry, on a different port if its own is in use."""
    try:
        await up(settings)
    except RegistryError:
        settings = replace(settings, port=_free_port())
        await up(settings)
    return settings


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
