"""What can be read of a tree, by paths that may not leave it."""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ci.engine.store.patterns import PatternError, PatternMatcher
from ci.engine.store.snapshot_trees import SnapshotError, is_folder, walk

FileKind = Literal["REGULAR", "DIRECTORY", "SYMLINK"]

_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class FileStat:
    """What is known of a path.

    Attributes:
        name: Its last part, once links are followed.
        kind: What is there.
        size: Bytes.
        permissions: Permission bits.
    """

    name: str
    kind: FileKind
    size: int
    permissions: int


def resolve(tree: Path, path: str, *, follow_last: bool = True) -> Path:
    """Find where a path of a tree is on disk, through links that stay in the tree.

    Args:
        tree: The top folder.
        path: Relative to it; a leading `/` means the top folder too.
        follow_last: Follow the path's last part where that is a link.

    Returns:
        The place; nothing need be there.

    Raises:
        SnapshotError: The path, or a link on its way, leads out of the tree, or links run in a circle.
    """
    if "\0" in path:
        msg = f"{path!r} is no path: it holds a NUL"
        raise SnapshotError(msg)
    cleaned = posixpath.normpath(f"./{path}")
    if cleaned.split("/")[0] == "..":
        msg = f"{path!r} leads out of the directory"
        raise SnapshotError(msg)
    left = cleaned.split("/")[::-1]
    found: list[str] = []
    links = 0
    while left:
        part = left.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not found:
                msg = f"{path!r} leads out of the directory by a link"
                raise SnapshotError(msg)
            found.pop()
            continue
        here = tree.joinpath(*found, part)
        if not (here.is_symlink() and (left or follow_last)):
            found.append(part)
            continue
        destination = os.fspath(here.readlink())
        links += 1
        if links > _MOST_LINKS or posixpath.isabs(destination):
            what = "links in a circle" if links > _MOST_LINKS else f"the link to {destination!r}"
            msg = f"{path!r} cannot be followed inside the directory: {what}"
            raise SnapshotError(msg)
        left.extend(reversed(destination.split("/")))
    return tree.joinpath(*found)


def existing(tree: Path, path: str) -> Path:
    """Find where a path is on disk, through links; something has to be there."""
    found = resolve(tree, path)
    if not found.exists():
        msg = f"{path!r} does not exist in the directory"
        raise SnapshotError(msg)
    return found


def existing_folder(tree: Path, path: str) -> Path:
    """Find a folder on disk."""
    folder = existing(tree, path)
    if not is_folder(folder):
        msg = f"{path!r} is a file, not a directory"
        raise SnapshotError(msg)
    return folder


def entries(tree: Path, path: str) -> list[str]:
    """List a folder."""
    folder = existing_folder(tree, path)
    names = sorted(os.listdir(folder), key=os.fsencode)  # noqa: PTH208 - names, not paths
    return [f"{name}/" if is_folder(folder / name) else name for name in names]


def glob(tree: Path, pattern: str) -> list[str]:
    """List what a pattern matches."""
    if not pattern.strip():
        msg = "the pattern is empty"
        raise PatternError(msg)
    matcher = PatternMatcher([pattern])
    return [f"{path}/" if folder else path for path, folder in walk(tree) if matcher.matches_exactly(path)]


def exists(tree: Path, path: str, kind: FileKind | None, follow: bool) -> bool:  # noqa: FBT001
    """Tell whether something is at a path."""
    found = resolve(tree, path, follow_last=follow)
    if not (found.exists() or found.is_symlink()):
        return False
    return kind is None or _kind(found.lstat().st_mode) == kind


def stat_path(tree: Path, path: str, follow: bool) -> FileStat:  # noqa: FBT001
    """Tell what is at a path."""
    found = existing(tree, path) if follow else resolve(tree, path, follow_last=False)
    info = found.lstat()
    return FileStat(found.name, _kind(info.st_mode), info.st_size, stat.S_IMODE(info.st_mode))


def _kind(mode: int) -> FileKind:
    if stat.S_ISDIR(mode):
        return "DIRECTORY"
    return "SYMLINK" if stat.S_ISLNK(mode) else "REGULAR"


def read(tree: Path, path: str) -> bytes:
    """Read a file."""
    found = existing(tree, path)
    if is_folder(found):
        msg = f"{path!r} is a directory, not a file"
        raise SnapshotError(msg)
    return found.read_bytes()
