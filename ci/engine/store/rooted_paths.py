"""Paths below a root: links are followed as in a chroot, so no path leads out of it."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from ci.engine.errors import SnapshotError

_MOST_LINKS = 40


def resolve_below(root: Path, path: str) -> Path:
    """Return where a path below a root is on disk; nothing needs to exist there.

    `/` and the start of an absolute link are the root, and so is what is above it.

    Args:
        root: The root, a directory of the host.
        path: The path, relative to the root.

    Raises:
        SnapshotError: The path contains a NUL, or its links form a loop.
    """
    if "\0" in path:
        msg = f"invalid path {path!r}: it contains a NUL"
        raise SnapshotError(msg)
    left = _parts(path)
    found: list[str] = []
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            del found[-1:]
            continue
        here = root.joinpath(*found, part)
        if not here.is_symlink():
            found.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            msg = f"{path!r}: too many levels of symbolic links"
            raise SnapshotError(msg)
        destination = os.fspath(here.readlink())
        if posixpath.isabs(destination):
            found.clear()
        left += _parts(destination)
    return root.joinpath(*found)


def require_file(found: Path, path: str) -> Path:
    """Return where a file is on disk, after a check that it exists.

    Args:
        found: Where it is.
        path: Its path in the query, for the message.

    Raises:
        SnapshotError: It does not exist, or is a directory.
    """
    if not found.is_file():
        msg = f"file {path!r}: {'is a directory, not a file' if found.is_dir() else 'no such file or directory'}"
        raise SnapshotError(msg)
    return found


def require_directory(found: Path, path: str, *, what: str = "directory") -> Path:
    """Return where a directory is on disk, after a check that it exists; see `require_file`.

    Args:
        found: Where it is.
        path: Its path in the query, for the message.
        what: How the message refers to it.

    Raises:
        SnapshotError: It does not exist, or is a file.
    """
    if not found.is_dir():
        msg = f"{what} {path!r}: {'is a file, not a directory' if found.exists() else 'no such file or directory'}"
        raise SnapshotError(msg)
    return found


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}][::-1]
