"""A mounted container's file system: paths in it, through its own links and never out of it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from ci.engine.errors import QueryFailedError

_MOST_LINKS = 40


def resolve_in(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """Return where a container's path is on disk, with links read as the container reads them.

    Args:
        root: Where its file system is mounted.
        path: The path; nothing need be there.
        follow_last: Follow its last part where that is a link.

    Raises:
        QueryFailedError: Links run in a circle.
    """
    left = [part for part in path.split("/") if part not in {"", "."}][::-1]
    found: list[str] = []
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            del found[-1:]
            continue
        here = root.joinpath(*found, part)
        if not here.is_symlink() or not (left or follow_last):
            found.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            msg = f"{path}: too many levels of symbolic links"
            raise QueryFailedError(msg)
        destination = os.fspath(here.readlink())
        if posixpath.isabs(destination):
            found.clear()
        left += [inner for inner in destination.split("/") if inner not in {"", "."}][::-1]
    return root.joinpath(*found)


async def make_folder(root: Path, path: str) -> None:
    """Make a folder in a container, and those above it, where they are missing."""
    await to_thread.run_sync(lambda: resolve_in(root, path).mkdir(parents=True, exist_ok=True))


@dataclass(frozen=True, slots=True)
class Stubs:
    """The empty files and folders that a builder makes so that something can be mounted on them.

    Attributes:
        missing: The paths on disk, outermost first, that were not there before.
    """

    missing: tuple[Path, ...]

    @classmethod
    async def note(cls, root: Path, paths: Sequence[str]) -> Stubs:
        """Note what is missing now.

        Args:
            root: Where the container's file system is mounted.
            paths: Where something will be mounted in it.
        """

        def look() -> list[Path]:
            missing: list[Path] = []
            for path in paths:
                target = resolve_in(root, path)
                missing += [part for part in (*reversed(target.parents), target) if not part.exists()]
            return list(dict.fromkeys(missing))

        return cls(tuple(await to_thread.run_sync(look)))

    async def remove(self) -> None:
        """Remove what has come since, as far as it is still empty."""

        def remove() -> None:
            for path in reversed(self.missing):
                with suppress(OSError):
                    if path.is_dir() and not path.is_symlink():
                        path.rmdir()
                    elif path.is_file() and path.stat().st_size == 0:
                        path.unlink()

        await to_thread.run_sync(remove)
