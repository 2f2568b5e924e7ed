"""Fields of containers that mount something, or read what is mounted."""

from __future__ import annotations

from dataclasses import replace

from ci.engine.errors import NotServedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.resolvers.configuration import absolute
from ci.engine.resolvers.files import FileState
from ci.engine.store.containers import ContainerState, Mount, MountKind
from ci.engine.store.snapshots import Snapshot


@OPERATIONS.serves("Container.mounts")
async def mounts(_session: Session, state: ContainerState) -> list[str]:
    """Where something is mounted."""
    return [mount.path for mount in state.mounts]


@OPERATIONS.serves("Container.withMountedDirectory")
async def with_mounted_directory(
    session: Session, state: ContainerState, *, path: str, source: Call, read_only: bool
) -> ContainerState:
    """It, with a directory mounted; what commands change in it, later commands see."""
    snapshot = await session.value(source, Snapshot)
    target = absolute(state, path)
    return state.mounted(Mount(target, MountKind.DIRECTORY, snapshot=snapshot, read_only=read_only))


@OPERATIONS.serves("Container.withMountedFile")
async def with_mounted_file(session: Session, state: ContainerState, *, path: str, source: Call) -> ContainerState:
    """It, with a file mounted."""
    snapshot = await (await session.value(source, FileState)).alone()
    return state.mounted(Mount(absolute(state, path), MountKind.FILE, snapshot=snapshot))


@OPERATIONS.serves("Container.withMountedCache")
async def with_mounted_cache(
    session: Session, state: ContainerState, *, path: str, cache: Call, sharing: str
) -> ContainerState:
    """It, with a cache volume mounted, which outlives the session."""
    if sharing == "PRIVATE":
        what = "Container.withMountedCache(sharing: PRIVATE)"
        raise NotServedError(what)
    key = await session.value(cache, str)
    return state.mounted(Mount(absolute(state, path), MountKind.CACHE, cache=key, locked=sharing == "LOCKED"))


@OPERATIONS.serves("Container.withMountedSecret")
async def with_mounted_secret(
    _session: Session, state: ContainerState, *, path: str, source: Call, owner: str, mode: int
) -> ContainerState:
    """It, with a secret mounted as a file."""
    return state.mounted(Mount(absolute(state, path), MountKind.SECRET, secret=source, owner=owner, mode=mode))


@OPERATIONS.serves("Container.withMountedTemp")
async def with_mounted_temp(
    _session: Session, state: ContainerState, *, path: str, size: int | None = None
) -> ContainerState:
    """It, with a folder in memory that every command finds empty."""
    return state.mounted(Mount(absolute(state, path), MountKind.TEMPORARY, size=size))


@OPERATIONS.serves("Container.withoutMount")
async def without_mount(_session: Session, state: ContainerState, *, path: str) -> ContainerState:
    """It, with nothing mounted there."""
    gone = absolute(state, path)
    return replace(state, mounts=tuple(mount for mount in state.mounts if mount.path != gone))
