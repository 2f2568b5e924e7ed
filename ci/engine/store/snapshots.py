"""Immutable folders, each named by the digest of what it holds: the embedded engine's directories."""

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

from ci.engine.store import snapshot_edits as edits
from ci.engine.store import snapshot_reads as reads
from ci.engine.store.snapshot_filters import EVERYTHING, TreeFilter
from ci.engine.store.snapshot_reads import FileKind, FileStat
from ci.engine.store.snapshot_trees import ROOT_MODE, SnapshotError, copy_tree, remove_tree, seal_tree

__all__ = ["FileKind", "FileStat", "Snapshot", "SnapshotError", "SnapshotStore", "remove_tree"]

T = TypeVar("T")

_THREADS = 4


@dataclass(frozen=True)
class Snapshot:
    """A folder that never changes. Two are equal when they hold the same.

    Paths are relative to its top folder, which a leading `/` or a lone `.` means too. `..` and links cannot lead out of
    it: that is a `SnapshotError`. Names that are not UTF-8 come with surrogate escapes, as everywhere in Python.

    Attributes:
        path: The top folder on disk. What is in it must not be written to.
        digest: `sha256:…` over names, types, permission bits, link targets and contents.
    """

    path: Path
    digest: str
    store: SnapshotStore = field(repr=False, compare=False)

    async def entries(self, path: str = ".") -> list[str]:
        """List a folder's names in order, folders with a `/` behind them.

        Raises:
            SnapshotError: There is no such folder.
        """
        return await self.store.run(reads.entries, self.path, path)

    async def glob(self, pattern: str) -> list[str]:
        """List the paths that a pattern matches, folders with a `/` behind them, parents first.

        Raises:
            PatternError: The pattern cannot be read, or is empty.
        """
        return await self.store.run(reads.glob, self.path, pattern)

    async def exists(self, path: str, *, kind: FileKind | None = None, follow: bool = True) -> bool:
        """Tell whether something, or something of that kind, is at a path.

        Args:
            path: Where to look.
            kind: What it has to be; asking for a link looks at the link itself.
            follow: Follow the path's last part where that is a link.
        """
        return await self.store.run(reads.exists, self.path, path, kind, follow and kind != "SYMLINK")

    async def stat(self, path: str, *, follow: bool = True) -> FileStat:
        """Tell what is at a path.

        Raises:
            SnapshotError: Nothing is.
        """
        return await self.store.run(reads.stat_path, self.path, path, follow)

    async def read_file(self, path: str) -> bytes:
        """Read a file.

        Raises:
            SnapshotError: There is none, or it is a folder.
        """
        return await self.store.run(reads.read, self.path, path)

    async def locate(self, path: str) -> Path:
        """Find where a path is on disk, through links; something has to be there."""
        return await self.store.run(reads.existing, self.path, path)

    async def export(self, target: Path, *, wipe: bool = False) -> None:
        """Copy everything into a folder of the host, over what is there.

        Args:
            target: The folder; it is made where it is missing.
            wipe: Remove what else it holds first.
        """
        await self.store.run(_export, self.path, target, wipe)

    async def subdirectory(self, path: str) -> Snapshot:
        """Take a folder of this one.

        Raises:
            SnapshotError: There is no such folder.
        """
        return await self.store.run(self.store.build, partial(_link, self.path, path, EVERYTHING))

    async def filter(
        self, *, include: Sequence[str] = (), exclude: Sequence[str] = (), gitignore: bool = False
    ) -> Snapshot:
        """Leave out what does not pass; the arguments are those of `SnapshotStore.capture`."""
        take = TreeFilter.of(include, exclude, gitignore_in=self.path if gitignore else None)
        return await self.store.run(self.store.build, partial(_link, self.path, ".", take))

    async def with_file(self, path: str, source_file: Path, permissions: int | None = None) -> Snapshot:
        """Add a file of this machine, or another snapshot's.

        Args:
            path: Where it goes; into the folder that is there, under its own name, if there is one.
            source_file: The file on disk; a link is not followed.
            permissions: Its permission bits; those it has when None.
        """
        return await self._edited(partial(edits.place_file, path=path, source=source_file, permissions=permissions))

    async def with_new_file(self, path: str, contents: str | bytes, permissions: int = 0o644) -> Snapshot:
        """Add a file with these contents, text as UTF-8."""
        data = contents.encode() if isinstance(contents, str) else contents
        return await self._edited(partial(edits.write_file, path=path, contents=data, permissions=permissions))

    async def with_new_directory(self, path: str, permissions: int = 0o755) -> Snapshot:
        """Add a folder, and those above it that are missing, with these permissions."""
        return await self._edited(partial(edits.make_folder, path=path, permissions=permissions))

    async def with_directory(
        self, path: str, other: Snapshot, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Snapshot:
        """Lay another snapshot over the folder at a path; where both have something, the other's stays."""
        take = TreeFilter.of(include, exclude)
        return await self._edited(partial(edits.place_tree, path=path, source=other.path, take=take))

    async def without_path(self, path: str) -> Snapshot:
        """Remove a file or folder, or all that a path with `*` in it matches; nothing there is fine."""
        return await self._edited(partial(edits.remove, path=path))

    async def _edited(self, edit: Callable[[Path], None]) -> Snapshot:
        def populate(tree: Path) -> None:
            copy_tree(self.path, tree, link=True)
            edit(tree)

        return await self.store.run(self.store.build, populate)


class SnapshotStore:
    """A private folder that snapshots live in, until its owner removes it (with `remove_tree`).

    Args:
        root: The folder; it is made, for this user alone, where it is missing.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()
        self._limiter = anyio.CapacityLimiter(_THREADS)

    async def capture(
        self,
        source: Path,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        gitignore: bool = False,
    ) -> Snapshot:
        """Copy what passes of a folder of this machine.

        Links are kept and never followed; sockets are left out. A file that changes is read again.

        Args:
            source: The folder, or a link to it.
            include: Patterns of what passes; everything where there are none.
            exclude: Patterns of what does not, of that.
            gitignore: Leave out what the `.gitignore` files of the repository around say.

        Raises:
            PatternError: A pattern cannot be read.
            SnapshotError: Something cannot be read, is a device or a pipe, or keeps changing.
        """

        def populate(tree: Path) -> None:
            if not source.is_dir():
                msg = f"{os.fspath(source)!r} is not a directory"
                raise SnapshotError(msg)
            take = TreeFilter.of(
                include, exclude, gitignore_in=source.resolve() if gitignore else None, search_above=True
            )
            copy_tree(source, tree, take=take, avoid=self._root)

        return await self.run(self.build, populate)

    async def empty(self) -> Snapshot:
        """Give the folder that holds nothing."""
        return await self.run(self.build, lambda _: None)

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Do blocking work in one of a few threads, and say in our words what the system refuses."""
        try:
            return await to_thread.run_sync(partial(call, *arguments), limiter=self._limiter)
        except OSError as e:
            where = f"{os.fspath(e.filename)!r}: " if isinstance(e.filename, str | os.PathLike) else ""
            msg = f"{where}{e.strerror or e}"
            raise SnapshotError(msg) from e

    def build(self, populate: Callable[[Path], None]) -> Snapshot:
        """Fill a new tree and keep it under its digest; it appears at once and whole, or not at all. Blocks."""
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


def _link(tree: Path, path: str, take: TreeFilter, target: Path) -> None:
    copy_tree(reads.existing_folder(tree, path), target, take=take, link=True)


def _export(tree: Path, target: Path, wipe: bool) -> None:  # noqa: FBT001
    target.mkdir(parents=True, exist_ok=True)
    if wipe:
        if target.resolve() == Path(target.anchor or "/"):
            msg = "the root of the file system is not wiped"
            raise SnapshotError(msg)
        for inner in target.iterdir():
            remove_tree(inner)
    copy_tree(tree, target)
