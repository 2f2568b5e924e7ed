"""Fields of directories."""

from __future__ import annotations

import posixpath

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.resolvers.files import FileState
from ci.engine.store.snapshots import FileKind, Snapshot, SnapshotError

KINDS: dict[str, FileKind] = {"REGULAR_TYPE": "REGULAR", "DIRECTORY_TYPE": "DIRECTORY", "SYMLINK_TYPE": "SYMLINK"}
_DEFAULT_MODE = 0o644


@OPERATIONS.serves("Directory.name")
async def name(_session: Session, _directory: Snapshot) -> str:
    """A directory by itself has no name but that of the root."""
    return "/"


@OPERATIONS.serves("Directory.digest")
async def digest(_session: Session, directory: Snapshot) -> str:
    """A digest of all that it holds."""
    return directory.digest


@OPERATIONS.serves("Directory.entries")
async def entries(_session: Session, directory: Snapshot, *, path: str | None = None) -> list[str]:
    """The names in it, folders with a slash behind them."""
    return await directory.entries(path or ".")


@OPERATIONS.serves("Directory.glob")
async def glob(_session: Session, directory: Snapshot, *, pattern: str) -> list[str]:
    """The paths that match."""
    return await directory.glob(pattern)


@OPERATIONS.serves("Directory.exists")
async def exists(
    _session: Session,
    directory: Snapshot,
    *,
    path: str,
    expected_type: str | None = None,
    do_not_follow_symlinks: bool,
) -> bool:
    """Whether something is at a path."""
    kind = KINDS[expected_type] if expected_type else None
    return await directory.exists(path, kind=kind, follow=not do_not_follow_symlinks)


@OPERATIONS.serves("Directory.file")
async def file(_session: Session, directory: Snapshot, *, path: str) -> FileState:
    """A file in it."""
    found = FileState(directory, path)
    await found.located()
    return found


@OPERATIONS.serves("Directory.directory")
async def subdirectory(_session: Session, directory: Snapshot, *, path: str) -> Snapshot:
    """A folder in it."""
    return await directory.subdirectory(path)


@OPERATIONS.serves("Directory.filter")
async def filtered(
    _session: Session, directory: Snapshot, *, exclude: list[str], include: list[str], gitignore: bool
) -> Snapshot:
    """What passes of it."""
    return await directory.filter(include=include, exclude=exclude, gitignore=gitignore)


@OPERATIONS.serves("Directory.withFile")
async def with_file(
    session: Session, directory: Snapshot, *, path: str, source: Call, permissions: int | None = None
) -> Snapshot:
    """It, with a file."""
    placed = await session.value(source, FileState)
    if path.endswith("/"):
        path = posixpath.join(path, placed.name)
    return await directory.with_file(path, await placed.located(), permissions)


@OPERATIONS.serves("Directory.withFiles")
async def with_files(
    session: Session, directory: Snapshot, *, path: str, sources: list[Call], permissions: int | None = None
) -> Snapshot:
    """It, with files in one of its folders."""
    for source in sources:
        placed = await session.value(source, FileState)
        directory = await directory.with_file(posixpath.join(path, placed.name), await placed.located(), permissions)
    return directory


@OPERATIONS.serves("Directory.withNewFile")
async def with_new_file(
    _session: Session, directory: Snapshot, *, path: str, contents: str, permissions: int
) -> Snapshot:
    """It, with a file of these contents."""
    return await directory.with_new_file(path, contents, permissions)


@OPERATIONS.serves("Directory.withNewDirectory")
async def with_new_directory(_session: Session, directory: Snapshot, *, path: str, permissions: int) -> Snapshot:
    """It, with a folder."""
    # The API's own default makes folders that nobody can enter; a Dagger engine makes them 0755 as well.
    return await directory.with_new_directory(path, 0o755 if permissions == _DEFAULT_MODE else permissions)


@OPERATIONS.serves("Directory.withDirectory")
async def with_directory(
    session: Session,
    directory: Snapshot,
    *,
    path: str,
    source: Call,
    exclude: list[str],
    include: list[str],
    gitignore: bool,
) -> Snapshot:
    """It, with another directory laid over one of its folders."""
    other = await session.value(source, Snapshot)
    if gitignore:
        other = await other.filter(gitignore=True)
    return await directory.with_directory(path, other, include=include, exclude=exclude)


@OPERATIONS.serves("Directory.withoutFile", "Directory.withoutDirectory")
async def without_path(_session: Session, directory: Snapshot, *, path: str) -> Snapshot:
    """It, without what is at a path."""
    return await directory.without_path(path)


@OPERATIONS.serves("Directory.export")
async def export(session: Session, directory: Snapshot, *, path: str, wipe: bool) -> str:
    """Write it to the caller's machine."""
    target = session.on_host(path)
    try:
        await directory.export(target, wipe=wipe)
    except SnapshotError as e:
        msg = f"export to {path!r}: {e}"
        raise QueryFailedError(msg) from e
    return str(target)
