"""Fields of `File`."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from anyio import to_thread

from ci.engine.errors import QueryFailedError
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.snapshots import Snapshot
from ci.engine.store.trees import copy_file


@dataclass(frozen=True, slots=True)
class FileState:
    """A file of a directory.

    Attributes:
        snapshot: The directory.
        path: The file's path in it.
    """

    snapshot: Snapshot
    path: str


@RESOLVERS.field("File.contents")
async def contents(_session: Session, file: FileState) -> str:
    return (await file.snapshot.read_file(file.path)).decode("utf-8", errors="replace")


@RESOLVERS.field("File.export")
async def export(session: Session, file: FileState, *, path: str) -> str:
    target = session.on_host(path)
    if target.is_dir() or path.endswith("/"):
        msg = f"export of file {posixpath.basename(file.path)!r}: {path!r} is a directory"
        raise QueryFailedError(msg)
    source = await file.snapshot.locate_file(file.path)

    def copy() -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        copy_file(source, target)

    await to_thread.run_sync(copy)
    return str(target)
