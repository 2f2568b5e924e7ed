"""Fields of `Container` about its platform and its file system."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from anyio import to_thread

from ci.engine.errors import NotServedError
from ci.engine.resolvers.files import FileState
from ci.engine.session.descriptions import Description
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.containers import ContainerState
from ci.engine.store.rooted_paths import require_directory, require_file, resolve_below
from ci.engine.store.snapshots import Snapshot


@RESOLVERS.field("Container.platform")
async def platform(_session: Session, state: ContainerState) -> str:
    return str(state.platform)


@RESOLVERS.field("Container.rootfs")
async def rootfs(session: Session, state: ContainerState) -> Snapshot:
    async with _mounted(session, state) as root:
        return await session.snapshots.capture(root)


@RESOLVERS.field("Container.withRootfs")
async def with_rootfs(session: Session, state: ContainerState, *, directory: Description) -> ContainerState:
    """Take over the file system of another container, with its layers."""
    if directory.field != "Container.rootfs" or directory.parent is None:
        what = "Container.withRootfs of a directory that is not the file system of a container"
        raise NotServedError(what)
    source = await session.value(directory.parent, ContainerState)
    return replace(state, image=source.image)


@RESOLVERS.field("Container.directory")
async def directory(session: Session, state: ContainerState, *, path: str) -> Snapshot:
    async with _mounted(session, state) as root:
        return await session.snapshots.capture(require_directory(await _located(root, state, path), path))


@RESOLVERS.field("Container.file")
async def file(session: Session, state: ContainerState, *, path: str) -> FileState:
    async with _mounted(session, state) as root:
        found = require_file(await _located(root, state, path), path)
        name = posixpath.basename(path)
        return FileState(await session.snapshots.with_file(name, found), name)


@asynccontextmanager
async def _mounted(session: Session, state: ContainerState) -> AsyncIterator[Path]:
    """Provide the directory where a container's file system is mounted while the block runs."""
    async with session.buildah.container(state.image) as name, session.buildah.root(name) as root:
        yield root


async def _located(root: Path, state: ContainerState, path: str) -> Path:
    """Return where a path of a container is on disk; a relative one starts at its working directory."""
    absolute = posixpath.normpath(posixpath.join("/", state.config.workdir, path))
    return await to_thread.run_sync(resolve_below, root, absolute)
