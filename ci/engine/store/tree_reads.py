"""Reads of a directory tree, by paths that cannot lead out of it."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from ci.engine.errors import PatternError, SnapshotError
from ci.engine.store.patterns import PatternMatcher
from ci.engine.store.rooted_paths import require_directory, require_file, resolve_below
from ci.engine.store.trees import is_folder, walk


def resolve(tree: Path, path: str) -> Path:
    """Return where a path of a tree is on disk, with links followed; nothing needs to exist there.

    Raises:
        SnapshotError: The path leads out of the tree by `..`, or cannot be resolved.
    """
    if posixpath.normpath(f"./{path}").split("/")[0] == "..":
        msg = f"{path!r} is outside of the directory"
        raise SnapshotError(msg)
    return resolve_below(tree, path)


def existing_file(tree: Path, path: str) -> Path:
    """Return where a regular file is on disk."""
    return require_file(resolve(tree, path), path)


def existing_directory(tree: Path, path: str) -> Path:
    """Return where a directory is on disk."""
    return require_directory(resolve(tree, path), path)


def exists(tree: Path, path: str) -> bool:
    """Return whether a path exists, with links followed."""
    return resolve(tree, path).exists()


def is_file(tree: Path, path: str) -> bool:
    """Return whether a path is a regular file, with links followed."""
    return resolve(tree, path).is_file()


def read(tree: Path, path: str) -> bytes:
    """Return the content of a regular file."""
    return existing_file(tree, path).read_bytes()


def entries(tree: Path) -> list[str]:
    """List the names in the top directory, directories with a `/` at the end."""
    names = sorted(os.listdir(tree), key=os.fsencode)  # noqa: PTH208 - names, not paths
    return [f"{name}/" if is_folder(tree / name) else name for name in names]


def glob(tree: Path, pattern: str) -> list[str]:
    """List the paths that match a pattern, directories with a `/` at the end, parents first.

    Raises:
        PatternError: The pattern is not valid, or is empty.
    """
    if not pattern.strip():
        msg = "the pattern is empty"
        raise PatternError(msg)
    matcher = PatternMatcher([pattern])
    return [f"{path}/" if folder else path for path, folder in walk(tree) if matcher.matches_exactly(path)]
