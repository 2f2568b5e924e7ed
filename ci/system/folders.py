"""Where this tool keeps what outlives a run: below the user's cache folder, so deleting that is safe."""

from __future__ import annotations

from pathlib import Path

import platformdirs

_APP_NAME = "backend-pipeline"


def cache_folder() -> Path:
    """Return the folder for what can be made again, `$XDG_CACHE_HOME/backend-pipeline` on Linux."""
    return platformdirs.user_cache_path(_APP_NAME)


def engine_folder() -> Path:
    """Return the folder of the embedded engine's own storage, never root's default store."""
    return cache_folder() / "engine"


def registry_folder() -> Path:
    """Return the folder of the local registry's data, log and process id."""
    return cache_folder() / "registry"


def base_images_folder() -> Path:
    """Return the folder of a second local registry, for base images where the first one asks for a password."""
    return cache_folder() / "base-images"
