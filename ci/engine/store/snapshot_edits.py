"""Changes to a tree that is still being built."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci.engine.store.patterns import PatternMatcher
from ci.engine.store.snapshot_filters import TreeFilter
from ci.engine.store.snapshot_reads import resolve
from ci.engine.store.snapshot_trees import SnapshotError, copy_file, copy_tree, is_folder, remove_tree, walk


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
