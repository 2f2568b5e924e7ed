"""Snapshots: immutable directories, each identified by the digest of its content. The engine's `Directory` objects."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from ci.engine.errors import SnapshotError
from ci.engine.store import tree_reads
from ci.engine.store.tree_filter import EVERYTHING, TreeFilter
from ci.engine.store.trees import ROOT_MODE, copy_file, copy_tree, seal_tree
from ci.system.owned_folders import remove_tree

T = TypeVar("T")

_THREADS = 4


@dataclass(frozen=True)
class Snapshot:
    """A directory that never changes. Two are equal if their content is.

    Paths are relative to its top, which a leading `/` or a lone `.` means too. `..` cannot lead out of it
    (`SnapshotError`), and links are followed as in a chroot. Names that are not UTF-8 have surrogate escapes.

    Attributes:
        path: The top directory on disk. It must not be written to.
        digest: `sha256:…` over names, types, permission bits, link targets and contents.
    """

    path: Path
    digest: str
    store: SnapshotStore = field(repr=False, compare=False)

    async def entries(self) -> list[str]:
        """List the names in it in order, directories with a `/` at the end."""
        return await self.store.run(tree_reads.entries, self.path)

    async def glob(self, pattern: str) -> list[str]:
        """List the paths that match a pattern, directories with a `/` at the end, parents first.

        Raises:
            PatternError: The pattern is not valid, or is empty.
        """
        return await self.store.run(tree_reads.glob, self.path, pattern)

    async def exists(self, path: str) -> bool:
        """Return whether a path exists, with links followed."""
        return await self.store.run(lambda: tree_reads.resolve(self.path, path).exists())

    async def is_file(self, path: str) -> bool:
        """Return whether a path is a regular file, with links followed."""
        return await self.store.run(lambda: tree_reads.resolve(self.path, path).is_file())

    async def read_file(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            SnapshotError: It does not exist, or is a directory.
        """
        return await self.store.run(lambda: tree_reads.existing_file(self.path, path).read_bytes())

    async def locate_file(self, path: str) -> Path:
        """Return where a file is on disk, with links followed.

        Raises:
            SnapshotError: It does not exist, or is a directory.
        """
        return await self.store.run(tree_reads.existing_file, self.path, path)

    async def export(self, target: Path) -> None:
        """Copy everything into a directory of the host, over what is there; it is created if it does not exist."""

        def copy() -> None:
            target.mkdir(parents=True, exist_ok=True)
            copy_tree(self.path, target)

        await self.store.run(copy)

    async def subdirectory(self, path: str) -> Snapshot:
        """Return a directory below this one.

        Raises:
            SnapshotError: It does not exist, or is a file.
        """
        return await self._part(path, EVERYTHING)

    async def filter(self, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Snapshot:
        """Return the part of it that the patterns select; see `TreeFilter`."""
        return await self._part(".", TreeFilter.of(include, exclude))

    async def _part(self, path: str, take: TreeFilter) -> Snapshot:
        def populate(tree: Path) -> None:
            copy_tree(tree_reads.existing_directory(self.path, path), tree, take=take, link=True)

        return await self.store.run(self.store.build, populate)


class SnapshotStore:
    """A private directory that contains snapshots, until its owner removes it (with `remove_tree`).

    Args:
        root: The directory; it is created with mode 0700 if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()
        self._limiter = anyio.CapacityLimiter(_THREADS)

    async def capture(self, source: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Snapshot:
        """Copy the part of a directory of the host that the patterns select.

        Links are kept and not followed; sockets are left out. A file that changes meanwhile is read again.

        Args:
            source: The directory, or a link to it.
            include: Patterns of what is taken; everything if there are none.
            exclude: Patterns of what is left out of that.

        Raises:
            PatternError: A pattern is not valid.
            SnapshotError: Something cannot be read, is a device or a pipe, or keeps changing.
        """

        def populate(tree: Path) -> None:
            if not source.is_dir():
                msg = f"{os.fspath(source)!r} is not a directory"
                raise SnapshotError(msg)
            copy_tree(source, tree, take=TreeFilter.of(include, exclude), avoid=self._root)

        return await self.run(self.build, populate)

    async def with_file(self, name: str, source: Path) -> Snapshot:
        """Return a snapshot with nothing but a copy of a file of the host; a link is not followed."""
        return await self.run(self.build, lambda tree: copy_file(source, tree / name))

    async def with_new_file(self, name: str, contents: str, permissions: int) -> Snapshot:
        """Return a snapshot with nothing but a new file.

        Raises:
            SnapshotError: The name is not valid.
        """

        def populate(tree: Path) -> None:
            if Path(name).name != name or name in {"", ".."}:
                msg = f"invalid file name {name!r}"
                raise SnapshotError(msg)
            (tree / name).write_text(contents, encoding="utf-8", errors="surrogateescape")
            (tree / name).chmod(permissions)

        return await self.run(self.build, populate)

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Do blocking work in one of a few threads; an error of the system becomes a `SnapshotError`."""
        try:
            return await to_thread.run_sync(partial(call, *arguments), limiter=self._limiter)
        except OSError as e:
            where = f"{os.fspath(e.filename)!r}: " if isinstance(e.filename, str | os.PathLike) else ""
            msg = f"{where}{e.strerror or e}"
            raise SnapshotError(msg) from e

    def build(self, populate: Callable[[Path], None]) -> Snapshot:
        """Fill a new tree and store it under its digest; it appears whole or not at all. Blocks."""
        work = Path(tempfile.mkdtemp(prefix="new-", dir=self._root))
        try:
            tree = work / "tree"
            tree.mkdir()
            populate(tree)
            digest = seal_tree(tree)
            tree.chmod(ROOT_MODE)
            kept = self._root / digest.replace(":", "-")
            if not kept.exists():
                try:
                    work.rename(kept)
                except OSError:
                    if not kept.exists():
                        raise
        finally:
            remove_tree(work)
        return Snapshot(kept / "tree", digest, self)
