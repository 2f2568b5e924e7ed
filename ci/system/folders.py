"""The directories that outlive a run, below the user's cache directory, so they may be deleted at any time."""

from __future__ import annotations

from pathlib import Path

import platformdirs

_APP_NAME = "backend-pipeline"


def cache_folder() -> Path:
    """Return the cache directory of this tool, `$XDG_CACHE_HOME/backend-pipeline` on Linux."""
    return platformdirs.user_cache_path(_APP_NAME)


def engine_folder() -> Path:
    """Return the directory of the embedded engine's own storage; buildah's default store is never used."""
    return cache_folder() / "engine"


def registry_folder() -> Path:
    """Return the directory of the local registry's data, logs and process record."""
    return cache_folder() / "registry"


def base_images_folder() -> Path:
    """Return the directory of a second local registry, which holds base images if the first requires a password."""
    return cache_folder() / "base-images"
