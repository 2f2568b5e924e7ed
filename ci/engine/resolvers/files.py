"""Fields of files."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class FileState:
    """A file of a directory.

    Attributes:
        snapshot: The directory.
        path: Where in it.
    """

    snapshot: Snapshot
    path: str

    @property
    def name(self) -> str:
        """The path's last part."""
        return posixpath.basename(self.path)

    async def located(self) -> Path:
        """Return where the file is on disk, links followed.

        Raises:
            QueryFailedError: It is not there, or is a directory.
        """
        if not await self.snapshot.exists(self.path, kind="REGULAR"):
            what = "is a directory, not a file" if await self.snapshot.exists(self.path) else "no such file"
            msg = f"file {self.path!r}: {what}"
            raise QueryFailedError(msg)
        return await self.snapshot.locate(self.path)

    async def alone(self, name: str = "", permissions: int | None = None) -> Snapshot:
        """Return a directory with nothing but this file.

        Args:
            name: What it is called there; its own name when empty.
            permissions: Its permission bits; its own when None.
        """
        empty = await self.snapshot.store.empty()
        return await empty.with_file(name or self.name, await self.located(), permissions)


@OPERATIONS.serves("File.sync")
async def sync(_session: Session, file: FileState) -> None:
    """See that the file is there."""
    await file.located()


@OPERATIONS.serves("File.name")
async def name(_session: Session, file: FileState) -> str:
    """Its name."""
    return file.name


@OPERATIONS.serves("File.contents")
async def contents(_session: Session, file: FileState) -> str:
    """What it holds, as UTF-8 text."""
    return (await file.snapshot.read_file(file.path)).decode("utf-8", errors="replace")


@OPERATIONS.serves("File.size")
async def size(_session: Session, file: FileState) -> int:
    """Its length in bytes."""
    return (await file.snapshot.stat(file.path)).size


@OPERATIONS.serves("File.digest")
async def digest(_session: Session, file: FileState) -> str:
    """A digest of its name, permissions and contents."""
    return (await file.alone()).digest


@OPERATIONS.serves("File.export")
async def export(session: Session, file: FileState, *, path: str, allow_parent_dir_path: bool) -> str:
    """Write it to the caller's machine."""
    target = session.on_host(path)
    if target.is_dir() or path.endswith("/"):
        if not allow_parent_dir_path:
            msg = f"export of file {file.name!r}: {path!r} is a directory"
            raise QueryFailedError(msg)
        target /= file.name
    await (await file.alone(target.name)).export(target.parent)
    return str(target)
