"""Removes what builds and sessions leave behind when they are stopped."""

from __future__ import annotations

import json
import re

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.store.buildah import Buildah, essence
from ci.engine.store.isolation import stop_containers
from ci.engine.store.overlay import detach_strays, mounts_below
from ci.engine.store.session_folders import dead_sessions, live_sessions, private_folder, remove_session
from ci.system.locks import try_lock

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
    dead = [own for own in dead_sessions(folders.shared) if own != folders.own]
    for own in dead:
        private = private_folder(own)
        if private is not None:
            await stop_containers(private / "runc")
    if ending:
        await stop_containers(folders.private / "runc")
    with try_lock(buildah.storage.builds_lock) as no_builds:
        # Read first, so that what a new session mounts is not among them.
        mounted = mounts_below(buildah.storage.graph)
        alive = live_sessions(folders.shared) - ({folders.name} if ending else set())
        await _remove_containers(buildah, alive, no_builds=no_builds)
        if no_builds and alive <= {folders.name}:
            await detach_strays(buildah.storage, mounted)
    for own in dead:
        remove_session(own)


async def _remove_containers(buildah: Buildah, alive: set[str], *, no_builds: bool) -> None:
    for container in await _listed(buildah):
        owner = container["containername"].split("-c-")[0]
        ours = container["containername"].startswith(f"{owner}-c-")
        if (ours and owner not in alive) or (not ours and no_builds):
            await buildah.remove(container["id"])


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
