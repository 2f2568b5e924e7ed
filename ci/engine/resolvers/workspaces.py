"""Fields of `Workspace`: the repository that contains the session's working directory."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from ci.engine.resolvers.files import FileState
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.rooted_paths import require_directory, require_file, resolve_below
from ci.engine.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """A repository of the host.

    Attributes:
        top: Its top directory; outside of a repository, the working directory.
        current: The working directory, relative to it.
    """

    top: Path
    current: str

    async def locate(self, path: str) -> Path:
        """Return where a path is; it starts at the top if it begins with `/`, else at the working directory."""
        return await to_thread.run_sync(resolve_below, self.top, posixpath.join("/", self.current, path))


@RESOLVERS.field("Query.currentWorkspace")
async def current_workspace(session: Session, _query: None) -> WorkspaceState:
    workdir = session.workdir.resolve()
    top = next((folder for folder in (workdir, *workdir.parents) if (folder / ".git").exists()), workdir)
    return WorkspaceState(top, workdir.relative_to(top).as_posix())


@RESOLVERS.field("Workspace.address")
async def address(_session: Session, workspace: WorkspaceState) -> str:
    return (workspace.top / workspace.current).as_uri()


@RESOLVERS.field("Workspace.directory")
async def directory(
    session: Session, workspace: WorkspaceState, *, path: str, exclude: list[str], include: list[str]
) -> Snapshot:
    found = require_directory(await workspace.locate(path), path, what="workspace directory")
    async with session.step(f"read {path}"):
        return await session.snapshots.capture(found, include=include, exclude=exclude)


@RESOLVERS.field("Workspace.file")
async def file(session: Session, workspace: WorkspaceState, *, path: str) -> FileState:
    found = require_file(await workspace.locate(path), path)
    return FileState(await session.snapshots.with_file(found.name, found), found.name)
