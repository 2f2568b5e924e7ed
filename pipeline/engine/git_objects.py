"""Reads git's own files with dulwich: the objects of a commit and the index.

The engine's API has neither a commit's message and time nor the ids of its trees, and it does not list what the index
tells git to overlook.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from dulwich.errors import ChecksumMismatch, FileFormatException, NotTreeError
from dulwich.index import (
    EXTENDED_FLAG_SKIP_WORKTREE,
    FLAG_VALID,
    Index,
    IndexEntry,
    UnsupportedIndexFormat,
    cleanup_mode,
)
from dulwich.object_store import DiskObjectStore, iter_tree_contents, tree_lookup_path
from dulwich.objects import S_ISGITLINK, Blob, ObjectID
from dulwich.objects import Commit as CommitObject

from pipeline.rules.checkout import Commit, commit_time
from pipeline.rules.errors import CheckoutError
from pipeline.rules.refs import CommitSha
from pipeline.rules.source_path import TOP, is_below
from pipeline.rules.text import cause, quoted

# What dulwich raises for an index that is damaged, cut, or of a later version.
_UNREADABLE_INDEX = (ValueError, AssertionError, OSError, struct.error, UnsupportedIndexFormat, ChecksumMismatch)


@dataclass(frozen=True, slots=True)
class CommittedFile:
    """A file, link or submodule of a commit: its mode as git stores it, and the id of its content."""

    mode: int
    content: bytes


@dataclass(frozen=True, slots=True)
class CommittedSource:
    """A commit and what it holds in the source directory.

    Attributes:
        commit: The commit.
        files: The files in the source, by their paths from the repository's top.
    """

    commit: Commit
    files: dict[str, CommittedFile] = field(default_factory=dict)

    @property
    def submodules(self) -> tuple[str, ...]:
        """The paths of the submodules in the source."""
        return tuple(path for path, file in self.files.items() if S_ISGITLINK(file.mode))


def read_commit(objects: Path, sha: CommitSha, source: str = TOP) -> CommittedSource:
    """Read a commit from a directory of objects.

    Args:
        objects: The directory `objects` of a git directory.
        sha: The commit.
        source: The path of the source directory.

    Raises:
        CheckoutError: The commit is missing, damaged, or not a commit.
    """
    store = DiskObjectStore(str(objects))
    try:
        commit = store[ObjectID(sha.encode())]
        if not isinstance(commit, CommitObject):
            msg = f"{quoted(sha)} is not a commit."
            raise CheckoutError(msg)
        message = _decoded(commit.message, (commit.encoding or b"utf-8").decode("ascii", "replace"))
        tree = _source_tree(store, commit, source)
        prefix = "" if source == TOP else f"{source}/"
        files = {
            prefix + os.fsdecode(entry.path or b""): CommittedFile(entry.mode or 0, entry.sha or b"")
            for entry in iter_tree_contents(store, tree)
        }
        source_tree = None if tree is None else tree.decode()
        found = Commit(sha=sha, message=message, time=commit_time(commit.commit_time), source_tree=source_tree)
        return CommittedSource(found, files)
    except KeyError as error:
        msg = f"The object of commit {quoted(sha)} is missing in the repository that the engine read."
        raise CheckoutError(msg) from error
    except (FileFormatException, ChecksumMismatch, zlib.error) as error:
        msg = f"The object of commit {quoted(sha)} is damaged: {cause(error)}."
        raise CheckoutError(msg, hint="Run `git fsck` for details.") from error
    finally:
        store.close()


def overlooked_paths(index: Path, source: str) -> tuple[str, ...]:
    """Return the paths in the source that git overlooks: `assume-unchanged` and `skip-worktree`.

    Raises:
        CheckoutError: The index cannot be read.
    """
    try:
        entries = Index(str(index)).items()
        flagged = [os.fsdecode(path) for path, entry in entries if isinstance(entry, IndexEntry) and _is_flagged(entry)]
    except _UNREADABLE_INDEX as error:
        msg = f"The index of the repository cannot be read: {cause(error)}."
        raise CheckoutError(msg, hint="Run `git status` for details.") from error
    return tuple(path for path in flagged if is_below(path, source))


def is_committed(path: Path, committed: CommittedFile | None) -> bool:
    """Return whether a file is as the commit holds it, byte for byte."""
    try:
        mode = path.lstat().st_mode
        content = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else path.read_bytes()
    except OSError:
        return False
    return committed == CommittedFile(cleanup_mode(mode), Blob.from_string(content).id)


def _source_tree(store: DiskObjectStore, commit: CommitObject, source: str) -> ObjectID | None:
    root: ObjectID = commit.tree
    if source == TOP:
        return root
    try:
        mode, found = tree_lookup_path(store.__getitem__, root, os.fsencode(source))
    except (KeyError, NotTreeError):
        return None
    return found if stat.S_ISDIR(mode) else None


def _is_flagged(entry: IndexEntry) -> bool:
    return bool(entry.flags & FLAG_VALID or entry.extended_flags & EXTENDED_FLAG_SKIP_WORKTREE)


def _decoded(message: bytes, encoding: str) -> str:
    """Decode a message in the commit's encoding, or as UTF-8 if Python does not support that."""
    try:
        text = message.decode(encoding, "replace")
    except (LookupError, ValueError):
        text = message.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()  # some encodings can spell lone surrogates
