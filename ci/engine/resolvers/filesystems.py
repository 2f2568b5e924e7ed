"""Fields of containers that read or change their file systems without running anything."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from anyio import to_thread

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.resolvers.configuration import absolute
from ci.engine.resolvers.directories import KINDS
from ci.engine.resolvers.files import FileState
from ci.engine.store.container_roots import resolve_in
from ci.engine.store.containers import ContainerState, Mount, MountKind
from ci.engine.store.snapshots import FileKind, Snapshot

_LONG = 3600.0


@asynccontextmanager
async def _root(session: Session, state: ContainerState) -> AsyncIterator[Path]:
    """Give the folder where a container's file system can be looked at."""
    async with session.buildah.container(state.image) as name, session.buildah.root(name) as root:
        yield root


def _mount_around(state: ContainerState, path: str) -> tuple[Mount, str] | None:
    """Return what is mounted at or above a path, and the path in it."""
    around = [mount for mount in state.mounts if posixpath.commonpath([mount.path, path]) == mount.path]
    if not around:
        return None
    mount = max(around, key=lambda each: len(each.path))
    if mount.snapshot is None:
        msg = f"{path} lies in a mounted {mount.kind}, which is there only while a command runs"
        raise QueryFailedError(msg)
    if mount.kind is MountKind.FILE:
        return mount, posixpath.basename(next(mount.snapshot.path.iterdir()))
    return mount, posixpath.relpath(path, mount.path)


@OPERATIONS.serves("Container.rootfs")
async def rootfs(session: Session, state: ContainerState) -> Snapshot:
    """All of its file system, without what is mounted."""
    async with _root(session, state) as root:
        return await session.snapshots.capture(root)


@OPERATIONS.serves("Container.directory")
async def directory(session: Session, state: ContainerState, *, path: str) -> Snapshot:
    """A folder of it."""
    where = absolute(state, path)
    if (mounted := _mount_around(state, where)) and mounted[0].snapshot:
        return await mounted[0].snapshot.subdirectory(mounted[1])
    async with _root(session, state) as root:
        found = await to_thread.run_sync(resolve_in, root, where)
        if not found.is_dir():
            msg = f"{where}: {'not a directory' if found.exists() else 'no such file or directory'}"
            raise QueryFailedError(msg)
        return await session.snapshots.capture(found)


@OPERATIONS.serves("Container.file")
async def file(session: Session, state: ContainerState, *, path: str) -> FileState:
    """A file of it."""
    where = absolute(state, path)
    if (mounted := _mount_around(state, where)) and mounted[0].snapshot:
        inner = FileState(mounted[0].snapshot, mounted[1])
        await inner.located()
        return inner
    async with _root(session, state) as root:
        found = await to_thread.run_sync(resolve_in, root, where)
        if not found.is_file():
            msg = f"{where}: {'not a file' if found.exists() else 'no such file or directory'}"
            raise QueryFailedError(msg)
        empty = await session.snapshots.empty()
        name = posixpath.basename(where)
        return FileState(await empty.with_file(name, found), name)


@OPERATIONS.serves("Container.exists")
async def exists(
    session: Session,
    state: ContainerState,
    *,
    path: str,
    expected_type: str | None = None,
    do_not_follow_symlinks: bool,
) -> bool:
    """Whether something is at a path."""
    where = absolute(state, path)
    kind = KINDS[expected_type] if expected_type else None
    follow = not do_not_follow_symlinks and kind != "SYMLINK"
    if (mounted := _mount_around(state, where)) and mounted[0].snapshot:
        return await mounted[0].snapshot.exists(mounted[1], kind=kind, follow=follow)
    async with _root(session, state) as root:
        return await to_thread.run_sync(_is_there, root, where, kind, follow)


def _is_there(root: Path, path: str, kind: FileKind | None, follow: bool) -> bool:  # noqa: FBT001 - of a thread
    found = resolve_in(root, path, follow_last=follow)
    if found.is_symlink():
        return kind in {None, "SYMLINK"}
    if not found.exists():
        return False
    return kind is None or kind == ("DIRECTORY" if found.is_dir() else "REGULAR")


@OPERATIONS.serves("Container.withDirectory")
async def with_directory(
    session: Session,
    state: ContainerState,
    *,
    path: str,
    source: Call,
    exclude: list[str],
    include: list[str],
    gitignore: bool,
    owner: str,
) -> ContainerState:
    """It, with a directory laid over one of its folders."""
    snapshot = await session.value(source, Snapshot)
    if include or exclude or gitignore:
        snapshot = await snapshot.filter(include=include, exclude=exclude, gitignore=gitignore)
    return await _with_tree(session, state, absolute(state, path), snapshot, owner)


@OPERATIONS.serves("Container.withFile")
async def with_file(
    session: Session,
    state: ContainerState,
    *,
    path: str,
    source: Call,
    permissions: int | None = None,
    owner: str,
) -> ContainerState:
    """It, with a file, in the folder that is at the path if there is one."""
    placed = await session.value(source, FileState)
    target = absolute(state, path)
    if path.endswith("/") or await _is_folder(session, state, target):
        target = posixpath.join(target, placed.name)
    snapshot = await placed.alone(posixpath.basename(target), permissions)
    return await _with_tree(session, state, posixpath.dirname(target), snapshot, owner)


@OPERATIONS.serves("Container.withNewFile")
async def with_new_file(
    session: Session, state: ContainerState, *, path: str, contents: str, permissions: int, owner: str
) -> ContainerState:
    """It, with a file of these contents."""
    target = absolute(state, path)
    empty = await session.snapshots.empty()
    snapshot = await empty.with_new_file(posixpath.basename(target), contents, permissions)
    return await _with_tree(session, state, posixpath.dirname(target), snapshot, owner)


async def _is_folder(session: Session, state: ContainerState, path: str) -> bool:
    if state.image is None:
        return path == "/"
    async with _root(session, state) as root:
        return await to_thread.run_sync(_is_there, root, path, "DIRECTORY", True)  # noqa: FBT003 - of a thread


async def _with_tree(
    session: Session, state: ContainerState, path: str, snapshot: Snapshot, owner: str
) -> ContainerState:
    """Lay a snapshot over a folder of the container, or of what is mounted there."""
    if (mounted := _mount_around(state, path)) and mounted[0].snapshot:
        mount, inner = mounted
        if owner:
            msg = f"cannot set the owner {owner!r} of files in the directory mounted at {mount.path}"
            raise QueryFailedError(msg)
        return state.mounted(replace(mount, snapshot=await mounted[0].snapshot.with_directory(inner, snapshot)))
    buildah = session.buildah
    async with buildah.container(state.image) as name:
        options = ["--chown", owner] if owner else []
        await buildah.ask("copy", "--quiet", *options, name, snapshot.path, path, time_limit=_LONG)
        return replace(state, image=await buildah.commit(name), image_ref="")
