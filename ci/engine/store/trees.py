"""Directory trees on disk: filtered copies that follow no link, the digest of a tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from anyio import from_thread

from ci.engine.errors import SnapshotError
from ci.engine.store.tree_filter import EVERYTHING, TreeFilter
from ci.system.owned_folders import remove_tree

ROOT_MODE = 0o755
_CHUNK = 1 << 20
_ATTEMPTS = 3
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
# The time that a Dagger engine sets on a checkout: fixed, and not zero, which some build tools treat as missing.
_MTIME = 1_000_000_000


@dataclass
class _Folder:
    """A directory of the copy, created when it or the first thing in it is taken."""

    path: Path
    mode: int
    parent: _Folder | None
    made: bool = field(default=False)

    def make(self) -> None:
        if self.made:
            return
        if self.parent is not None:
            self.parent.make()
        if not is_folder(self.path):
            self.path.unlink(missing_ok=True)
            self.path.mkdir(mode=0o700)
        self.path.chmod(self.mode | 0o700)
        self.made = True


@dataclass(frozen=True)
class _Copy:
    take: TreeFilter
    link: bool
    avoid: tuple[int, int] | None

    def folder(self, fd: int, into: _Folder, path: str) -> None:
        with os.scandir(fd) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        for entry in entries:
            from_thread.check_cancelled()
            inner = f"{path}/{entry.name}" if path else entry.name
            try:
                self._entry(fd, entry, into, inner)
            except FileNotFoundError as e:
                if e.filename == entry.name:
                    continue  # it was removed while the directory was read
                raise
            except OSError as e:
                msg = f"{inner!r}: {e.strerror}"
                raise SnapshotError(msg) from e

    def _entry(self, fd: int, entry: os.DirEntry[str], into: _Folder, path: str) -> None:
        info = os.stat(entry.name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            if (info.st_dev, info.st_ino) != self.avoid:
                self._subfolder(fd, entry.name, into, path, stat.S_IMODE(info.st_mode))
            return
        if stat.S_ISSOCK(info.st_mode) or not self.take.takes(path):
            return
        target = into.path / entry.name
        if stat.S_ISLNK(info.st_mode):
            destination = os.readlink(entry.name, dir_fd=fd)
            _make_room(into, target)
            target.symlink_to(destination)
        elif not stat.S_ISREG(info.st_mode):
            msg = f"{path!r} is a device or a named pipe, which an image cannot contain"
            raise SnapshotError(msg, hint="Exclude it.")
        elif self.link:
            _make_room(into, target)
            os.link(entry.name, target, src_dir_fd=fd, follow_symlinks=False)
        else:
            _make_room(into, target)
            copy_file(entry.name, target, dir_fd=fd, name=path)

    def _subfolder(self, fd: int, name: str, into: _Folder, path: str, mode: int) -> None:
        taken = self.take.takes(path)
        if not taken and not self.take.enters(path):
            return
        inner = _Folder(into.path / name, mode, into)
        if taken:
            inner.make()
        try:
            inner_fd = os.open(name, _FOLDER_FLAGS, dir_fd=fd)
        except PermissionError:
            if taken:
                raise
            return
        try:
            self.folder(inner_fd, inner, path)
        finally:
            os.close(inner_fd)
        if inner.made:
            inner.path.chmod(mode)


def copy_tree(
    source: Path,
    target: Path,
    *,
    take: TreeFilter = EVERYTHING,
    link: bool = False,
    avoid: Path | None = None,
) -> None:
    """Copy the content of a directory into another, over what is there; links are copied and not followed.

    Args:
        source: The directory, or a link to it.
        target: An existing directory. Its own mode does not change.
        take: What is copied.
        link: Create hard links, for files that nobody writes to.
        avoid: A directory that is left out.

    Raises:
        SnapshotError: Something cannot be read, or is neither a file, directory, link nor socket (which is left out).
    """
    avoided = None if avoid is None else avoid.stat()
    fd = os.open(source.resolve(strict=True), _FOLDER_FLAGS)
    try:
        copy = _Copy(take, link, None if avoided is None else (avoided.st_dev, avoided.st_ino))
        copy.folder(fd, _Folder(target, ROOT_MODE, None, made=True), "")
    finally:
        os.close(fd)


def copy_file(source: str | Path, target: Path, *, dir_fd: int | None = None, name: str = "") -> None:
    """Copy one file's bytes and permission bits into a new file.

    Args:
        source: The file; a link is not followed.
        target: The destination; it must not exist.
        dir_fd: The open directory that `source` is relative to.
        name: The file's name in errors.

    Raises:
        SnapshotError: It is not a regular file, or changed each time while it was read.
    """
    for _ in range(_ATTEMPTS):
        with open(source, "rb", opener=lambda path, _: os.open(path, _FILE_FLAGS, dir_fd=dir_fd)) as reading:
            before = os.fstat(reading.fileno())
            if not stat.S_ISREG(before.st_mode):
                msg = f"{name or str(source)!r} is not a regular file"
                raise SnapshotError(msg)
            with target.open("xb") as writing:
                shutil.copyfileobj(reading, writing, _CHUNK)
            after = os.fstat(reading.fileno())
        target.chmod(stat.S_IMODE(after.st_mode))
        size = target.stat().st_size
        if (before.st_mtime_ns, before.st_size, size) == (after.st_mtime_ns, after.st_size, after.st_size):
            return
        target.unlink()
    msg = f"{name or str(source)!r} changes while it is read"
    raise SnapshotError(msg, hint="Stop what writes to it, or exclude it.")


def seal_tree(tree: Path) -> str:
    """Set one fixed time on everything in a tree and compute its digest.

    Returns:
        `sha256:…` over names, types, permission bits, link targets and contents, but not over times, owners and the
        mode of the top directory.
    """
    return f"sha256:{_digest(tree).hex()}"


def _digest(folder: Path) -> bytes:
    total = hashlib.sha256()
    for name in sorted(os.listdir(folder), key=os.fsencode):  # noqa: PTH208 - names, not paths
        from_thread.check_cancelled()
        path = folder / name
        info = path.lstat()
        if stat.S_ISDIR(info.st_mode):
            kind, inner = "d", _digest(path)
        elif stat.S_ISLNK(info.st_mode):
            kind, inner = "l", hashlib.sha256(os.fsencode(path.readlink())).digest()
        else:
            with path.open("rb") as reading:
                kind, inner = "f", hashlib.file_digest(reading, "sha256").digest()
        mode = 0 if kind == "l" else stat.S_IMODE(info.st_mode)
        total.update(f"{kind}{mode:04o}".encode() + os.fsencode(name) + b"\0" + inner)
        if info.st_mtime_ns != _MTIME or kind == "d":
            os.utime(path, ns=(_MTIME, _MTIME), follow_symlinks=False)
    return total.digest()


def walk(tree: Path, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Yield each path below a directory and whether it is a directory, parents first, in the order of names."""
    for name in sorted(os.listdir(tree), key=os.fsencode):  # noqa: PTH208 - names, not paths
        path = f"{prefix}{name}"
        folder = is_folder(tree / name)
        yield path, folder
        if folder:
            yield from walk(tree / name, f"{path}/")


def _make_room(folder: _Folder, target: Path) -> None:
    folder.make()
    remove_tree(target)


def is_folder(path: Path) -> bool:
    """Return whether a path is a directory; a link to one is not."""
    return path.is_dir() and not path.is_symlink()
