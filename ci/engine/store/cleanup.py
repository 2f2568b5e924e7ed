"""Removal of what builds leave behind when they, or their whole session, are stopped."""

from __future__ import annotations

import json
import re

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.store.buildah import Buildah, essence
from ci.engine.store.isolation import stop_containers
from ci.engine.store.overlay import detach_strays, mounts_below
from ci.engine.store.workspace import dead_sessions, live_sessions, private_folder, remove_session
from ci.system.locks import try_lock


async def sweep(buildah: Buildah, *, ending: bool = False) -> None:
    """Stop and remove what no living session uses any more.

    A session's own working containers begin with its name. Those that `buildah build` makes have names of its own
    choosing; they can be told to be dead only when no build runs at all, which a lock says.

    Args:
        buildah: The session's builder.
        ending: The session itself is ending, so its own things go too.

    Raises:
        QueryFailedError: The store cannot be used at all.
    """
    workspace = buildah.workspace
    dead = [own for own in dead_sessions(workspace.shared) if own != workspace.own]
    for own in dead:
        private = private_folder(own)
        if private is not None:
            await stop_containers(private / "runc")
    if ending:
        await stop_containers(workspace.private / "runc")
    with try_lock(buildah.storage.builds_lock) as no_builds:
        # Looked at first: what a session mounts that begins after this is not among them.
        mounted = mounts_below(buildah.storage.graph)
        alive = live_sessions(workspace.shared) - ({workspace.name} if ending else set())
        await _remove_containers(buildah, alive, no_builds=no_builds)
        if no_builds and alive <= {workspace.name}:
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
    """List the working containers, again where another session removes one of them in the middle of it.

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
    msg = f"the embedded engine cannot use overlay storage in {buildah.workspace.shared}: {essence(listed.stderr)}"
    raise QueryFailedError(msg, hint=_WAY_OUT)


_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
_VANISHED = re.compile(r"container not known|no such file or directory")
_WAY_OUT = (
    "It has to run as root on a file system that overlay can stand on (ext4, xfs): choose one by XDG_CACHE_HOME, "
    "or use a Dagger engine."
)
