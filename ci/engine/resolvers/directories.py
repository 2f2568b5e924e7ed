"""Fields of `Directory`, but for `dockerBuild` and `asGit`."""

from __future__ import annotations

from ci.engine.errors import QueryFailedError, SnapshotError
from ci.engine.resolvers.files import FileState
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.snapshots import Snapshot


@RESOLVERS.field("Directory.digest")
async def digest(_session: Session, directory: Snapshot) -> str:
    return directory.digest


@RESOLVERS.field("Directory.entries")
async def entries(_session: Session, directory: Snapshot) -> list[str]:
    return await directory.entries()


@RESOLVERS.field("Directory.glob")
async def glob(_session: Session, directory: Snapshot, *, pattern: str) -> list[str]:
    return await directory.glob(pattern)


@RESOLVERS.field("Directory.exists")
async def exists(_session: Session, directory: Snapshot, *, path: str) -> bool:
    return await directory.exists(path)


@RESOLVERS.field("Directory.file")
async def file(_session: Session, directory: Snapshot, *, path: str) -> FileState:
    await directory.locate_file(path)
    return FileState(directory, path)


@RESOLVERS.field("Directory.directory")
async def subdirectory(_session: Session, directory: Snapshot, *, path: str) -> Snapshot:
    return await directory.subdirectory(path)


@RESOLVERS.field("Directory.filter")
async def filtered(_session: Session, directory: Snapshot, *, exclude: list[str], include: list[str]) -> Snapshot:
    return await directory.filter(include=include, exclude=exclude)


@RESOLVERS.field("Directory.export")
async def export(session: Session, directory: Snapshot, *, path: str) -> str:
    target = session.on_host(path)
    try:
        await directory.export(target)
    except SnapshotError as e:
        msg = f"export to {path!r}: {e}"
        raise QueryFailedError(msg) from e
    return str(target)
