"""Removes what builds and sessions leave behind when they are stopped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.store.buildah import Buildah, essence
from ci.engine.store.isolation import stop_containers
from ci.engine.store.overlay import container_layers, detach_strays, mounts_below
from ci.engine.store.session_folders import open_session_folders, runtime_root, secrets_folder, sessions_folder
from ci.engine.store.storage import Storage
from ci.system.locks import try_lock
from ci.system.owned_folders import OWNED_NAME, owned_folders, remove_abandoned

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
_VANISHED = re.compile(r"container not known|no such file or directory")
_WAY_OUT = (
    "It must run as root on a file system that supports overlay (ext4, xfs): set XDG_CACHE_HOME to a directory on one, "
    "or use a Dagger engine."
)


async def sweep(buildah: Buildah, *, ending: bool = False) -> None:
    """Stop and remove what no running session uses.

    The names of a session's own working containers begin with the session's name. `buildah build` chooses names of
    its own; those containers are unused only if no build runs, which a lock shows.

    Args:
        buildah: The session's builder.
        ending: Whether the session ends, so that its own containers are removed too.

    Raises:
        QueryFailedError: The store cannot be used.
    """
    folders = buildah.folders
    await sweep_private_folders()
    if ending:
        await stop_containers(folders.runtime_root)
    with try_lock(buildah.storage.builds_lock) as no_builds:
        # Read before the sessions, so that what a new session makes and mounts is not among them.
        mounted = mounts_below(buildah.storage.graph)
        containers = await _listed(buildah)
        running = _running(folders.shared) - ({folders.name} if ending else set())
        for container in containers:
            if _is_unused(container["containername"], running, no_builds=no_builds):
                await buildah.remove(container["id"])
        if no_builds and running <= {folders.name}:
            await detach_strays(buildah.storage, mounted)
    remove_abandoned(sessions_folder(folders.shared))


async def sweep_private_folders() -> None:
    """Stop the containers of killed sessions, and remove their secrets, whatever engine's directory they used."""
    for private, alive in owned_folders(secrets_folder()).items():
        if not alive:
            await stop_containers(runtime_root(private))
    remove_abandoned(secrets_folder())


async def sweep_store(shared: Path) -> None:
    """Stop and remove what killed sessions left in an engine's directory; look only, if they left nothing.

    Args:
        shared: The engine's directory, which may not exist.

    Raises:
        QueryFailedError: The store cannot be used.
    """
    if _has_leftovers(shared):
        with open_session_folders(shared) as folders:
            await sweep(Buildah(folders, Storage.prepare(shared, folders.own, ())), ending=True)


def _has_leftovers(shared: Path) -> bool:
    sessions = owned_folders(sessions_folder(shared))
    if not all(sessions.values()):
        return True
    storage = Storage.of(shared, shared)
    return not sessions and bool(container_layers(storage) or mounts_below(storage.graph))


def _running(shared: Path) -> set[str]:
    """Return the names of the running sessions."""
    return {own.name for own, alive in owned_folders(sessions_folder(shared)).items() if alive}


def _is_unused(container: str, running: set[str], *, no_builds: bool) -> bool:
    owner = container.partition("-c-")[0]  # builds name theirs after the base image
    return owner not in running if OWNED_NAME.fullmatch(owner) else no_builds


async def _listed(buildah: Buildah) -> list[dict[str, str]]:
    """List the working containers; tried again if another session removes one at the same time.

    Raises:
        QueryFailedError: The store cannot be used.
    """
    for pause in (*_PAUSES, None):
        listed = await buildah.call("containers", "--all", "--json")
        if listed.exit_code == 0:
            return json.loads(listed.stdout or "null") or []
        if pause is None or not _VANISHED.search(listed.stderr):
            break
        await anyio.sleep(pause)
    msg = f"the embedded engine cannot use overlay storage in {buildah.folders.shared}: {essence(listed.stderr)}"
    raise QueryFailedError(msg, hint=_WAY_OUT)
