"""Fields of `Container` that read or change its configuration, or read its file system."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from anyio import to_thread

from ci.engine.resolvers.files import FileState
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.containers import ContainerState
from ci.engine.store.rooted_paths import require_directory, require_file, resolve_below
from ci.engine.store.snapshots import Snapshot


@RESOLVERS.field("Container.platform")
async def platform(_session: Session, state: ContainerState) -> str:
    return str(state.platform)


@RESOLVERS.field("Container.label")
async def label(_session: Session, state: ContainerState, *, name: str) -> str | None:
    return state.config.labels.get(name)


@RESOLVERS.field("Container.withLabel")
async def with_label(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    return state.configured(labels={**state.config.labels, name: value})


@RESOLVERS.field("Container.withAnnotation")
async def with_annotation(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    return replace(state, annotations={**state.annotations, name: value})


@RESOLVERS.field("Container.withEnvVariable")
async def with_env_variable(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    return state.configured(env={**state.config.env, name: value})


@RESOLVERS.field("Container.entrypoint")
async def entrypoint(_session: Session, state: ContainerState) -> list[str]:
    return list(state.config.entrypoint or ())


@RESOLVERS.field("Container.defaultArgs")
async def default_args(_session: Session, state: ContainerState) -> list[str]:
    return list(state.config.command or ())


@RESOLVERS.field("Container.rootfs")
async def rootfs(session: Session, state: ContainerState) -> Snapshot:
    async with _mounted(session, state) as root:
        return await session.snapshots.capture(root)


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
