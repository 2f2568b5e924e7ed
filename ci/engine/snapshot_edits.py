"""Changes to a tree that is still being built, and paths that may not leave it."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci.engine.patterns import PatternMatcher
from ci.engine.snapshot_trees import SnapshotError, TreeFilter, copy_file, copy_tree, is_folder, remove_tree, walk

_MOST_LINKS = 40


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


def place_file(tree: Path, path: str, source: Path, permissions: int | None) -> None:
    """Copy a file to a path, or into the folder that is there."""
    target = resolve(tree, path)
    if is_folder(target):
        target = resolve(tree, f"{path}/{source.name}", follow_last=False)
    with _parent_of(tree, target, path):
        _clear(target, path)
        copy_file(source, target, mode=permissions)


def write_file(tree: Path, path: str, contents: bytes, permissions: int) -> None:
    """Write a new file at a path, in place of one that may be there."""
    target = resolve(tree, path)
    with _parent_of(tree, target, path):
        _clear(target, path)
        target.write_bytes(contents)
        target.chmod(permissions)


def make_folder(tree: Path, path: str, permissions: int) -> None:
    """Make a folder and those above it that are missing, all with these permissions."""
    _make_folders(tree, resolve(tree, path), path, permissions)


def place_tree(tree: Path, path: str, source: Path, take: TreeFilter) -> None:
    """Lay what another tree holds over the folder at a path."""
    target = resolve(tree, path)
    _make_folders(tree, target, path, 0o755)
    with _writable(target):
        copy_tree(source, target, take=take, link=True)


def remove(tree: Path, path: str) -> None:
    """Remove what is at a path, or every path that it matches where it holds a `*`; nothing there is fine."""
    if "*" in path:
        matcher = PatternMatcher([path])
        targets = [tree / each for each, _ in walk(tree) if matcher.matches_exactly(each)]
    else:
        target = resolve(tree, path, follow_last=False)
        targets = list(tree.iterdir()) if target == tree else [target]
    for target in targets:
        if target.parent.is_dir() and (target.exists() or target.is_symlink()):
            with _writable(target.parent):
                remove_tree(target)


def _clear(target: Path, path: str) -> None:
    if is_folder(target):
        msg = f"{path!r} is a directory, not a file"
        raise SnapshotError(msg)
    target.unlink(missing_ok=True)


def _make_folders(tree: Path, target: Path, path: str, permissions: int) -> None:
    here = tree
    for part in target.relative_to(tree).parts:
        above, here = here, here / part
        if is_folder(here):
            continue
        if here.exists():
            msg = f"{path!r} would lie in a file: {here.relative_to(tree).as_posix()!r} is no directory"
            raise SnapshotError(msg)
        with _writable(above):
            here.mkdir()
        here.chmod(permissions)


@contextmanager
def _parent_of(tree: Path, target: Path, path: str) -> Iterator[None]:
    if target == tree:
        msg = f"{path!r} is the directory itself, not a file in it"
        raise SnapshotError(msg)
    _make_folders(tree, target.parent, path, 0o755)
    with _writable(target.parent):
        yield


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(mode | 0o700)
    try:
        yield
    finally:
        folder.chmod(mode)
