"""Sees to it that the embedded engine finds the images a Dockerfile starts from, where Docker Hub is out of reach."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ci.local_registry import seeding
from ci.local_registry.base_images import base_images
from ci.local_registry.server import status, up
from ci.local_registry.settings import HUB, Mirror, RegistrySettings, hub_mirror
from ci.system.folders import base_images_folder
from pipeline.rules.errors import RegistryError


async def prepare_base_images(dockerfile: Path, notice: Callable[[str], None]) -> list[Mirror]:
    """Make the base images of a Dockerfile available, and say where the engine finds them first.

    Nothing is started where the Dockerfile takes nothing from Docker Hub, or where the Hub answers.

    Args:
        dockerfile: The Dockerfile on this machine; what cannot be read is left for the builder to complain about.
        notice: Told what takes long.

    Raises:
        EngineError: A base image can neither be pulled nor made here.
        RegistryError: The local registry does not work.
    """
    try:
        text = dockerfile.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    images = [image for image in base_images(text) if image.domain == HUB]
    if not images:
        return []
    settings = RegistrySettings()
    running = await status(settings)
    if running.asks_for_password:
        # Its password is for the images that are published there, and is none of the builder's.
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


async def _start(settings: RegistrySettings) -> RegistrySettings:
    """Start the local registry, on another port where its own is taken by something else."""
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
