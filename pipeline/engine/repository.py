"""Reads what git knows of the caller's repository, from a `dagger.Workspace`."""

from __future__ import annotations

import io
import re
import tempfile
import zlib
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
import dagger
from dulwich.config import ConfigFile
from dulwich.errors import ChecksumMismatch, FileFormatException
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Commit as CommitObject
from dulwich.objects import ObjectID

from pipeline.concurrency import each
from pipeline.rules.checkout import Checkout, Commit, commit_time
from pipeline.rules.errors import CheckoutError
from pipeline.rules.refs import TAGS, CommitSha, parse_commit, parse_version
from pipeline.rules.source_path import TOP, is_below
from pipeline.rules.text import cause, quoted

_DETACHED = "HEAD"
_GIT = ".git"
_CONFIG_PATH = ".git/config"
_RULES = (".gitignore", ".gitattributes")
_GLOB = re.compile(r"[*?\[\]\\]")


class RepositoryFiles(Protocol):
    """The files of the repository; the part of `dagger.Workspace` that is used."""

    def directory(
        self, path: str, *, exclude: list[str] | None = None, include: list[str] | None = None
    ) -> dagger.Directory:
        """Return a directory; paths that start with `/` start at the repository's top."""


async def read_checkout(files: RepositoryFiles, source: str, requested: str | None = None) -> Checkout:
    """Read what is checked out.

    Args:
        files: The files of the caller's repository.
        source: The directory to build: its path from the repository's top.
        requested: The ref that the caller requests, if any.

    Raises:
        CheckoutError: There is no repository or no commit, or git failed.
    """
    top = files.directory("/", include=[_GIT])
    repository = top.as_git()
    head = repository.head()
    try:
        sha = parse_commit(await head.commit())
        ref = await head.ref()
        dirty = await _dirty_paths(files, source)
        tags = await _version_tags_at(repository, sha) if ref == _DETACHED else ()
        tagged = await _tagged_commit(repository, requested)
        origin = await _origin(top)
    except dagger.QueryError as error:
        msg = f"Git could not read what is checked out: {cause(error)}."
        raise CheckoutError(msg, hint="Run this in a git repository with at least one commit.") from error
    return Checkout(
        head=await _read_commit(head, sha),
        ref=None if ref == _DETACHED else ref,
        tags=tags,
        origin=origin,
        tagged=tagged,
        dirty=dirty,
    )


async def _dirty_paths(files: RepositoryFiles, source: str) -> tuple[str, ...]:
    """Return the paths in the source that differ from HEAD.

    Only the source and git's own files are read, so that git reports everything else as removed.
    """
    changes = files.directory("/", include=_with_git_rules(source)).as_git().uncommitted()
    if await changes.is_empty():
        return ()
    paths = {*await changes.modified_paths(), *await changes.added_paths(), *await changes.removed_paths()}
    return tuple(sorted(path for path in paths if is_below(path, source)))


def _with_git_rules(source: str) -> list[str]:
    """Return the patterns of the source, `.git`, and the files above the source that decide what git ignores."""
    if source == TOP:
        return []
    parts = [_GLOB.sub(r"\\\g<0>", part) for part in source.split("/")]
    above = ["/".join([*parts[:depth], rules]) for depth in range(len(parts)) for rules in _RULES]
    return [_GIT, *above, "/".join(parts)]


async def _version_tags_at(repository: dagger.GitRepository, sha: CommitSha) -> tuple[str, ...]:
    """Return the version tags that point to a commit; they are read only if HEAD is detached."""
    versions = [tag for tag in await repository.tags() if parse_version(tag) is not None]
    found: list[str] = []

    async def compare(tag: str) -> None:
        if await repository.tag(tag).commit() == sha:
            found.append(tag)

    await each(versions, compare)
    return tuple(sorted(found))


async def _tagged_commit(repository: dagger.GitRepository, ref: str | None) -> CommitSha | None:
    """Return the commit that a version tag points to, or None if git does not have that tag."""
    tag = "" if ref is None or not ref.startswith(TAGS) else ref.removeprefix(TAGS)
    if parse_version(tag) is None or tag not in await repository.tags():
        return None
    return parse_commit(await repository.tag(tag).commit())


async def _origin(top: dagger.Directory) -> str | None:
    """Return the URL of the remote `origin`; a worktree's is not known, as its `.git` is a file."""
    # Not `exists`, which fails in a worktree.
    if _CONFIG_PATH not in await top.glob(_CONFIG_PATH):
        return None
    text = await top.file(_CONFIG_PATH).contents()
    try:
        value = ConfigFile.from_file(io.BytesIO(text.encode())).get((b"remote", b"origin"), b"url")
    except (KeyError, ValueError):
        return None  # a repository without an origin, or with a configuration that git itself would refuse
    return value.decode(errors="replace")


async def _read_commit(head: dagger.GitRef, sha: CommitSha) -> Commit:
    """Read a commit's message and time from its object: the engine's API has neither."""
    loose = f"objects/{sha[:2]}/{sha[2:]}"
    objects = head.tree(depth=1).directory(".git").filter(include=[loose, "objects/pack/*"])
    with tempfile.TemporaryDirectory(prefix="backend-pipeline-") as folder:
        try:
            await objects.export(folder)
        except dagger.QueryError as error:
            msg = f"Git could not read commit {sha}: {cause(error)}."
            raise CheckoutError(msg) from error
        return await anyio.to_thread.run_sync(_parse_commit_object, Path(folder) / "objects", sha)


def _parse_commit_object(objects: Path, sha: CommitSha) -> Commit:
    store = DiskObjectStore(str(objects))
    try:
        commit = store[ObjectID(sha.encode())]
        if not isinstance(commit, CommitObject):
            msg = f"{quoted(sha)} is not a commit."
            raise CheckoutError(msg)
        message = _decoded(commit.message, (commit.encoding or b"utf-8").decode("ascii", "replace"))
        return Commit(sha=sha, message=message, time=commit_time(commit.commit_time))
    except KeyError as error:
        msg = f"The object of commit {quoted(sha)} is missing in the repository that the engine read."
        raise CheckoutError(msg) from error
    except (FileFormatException, ChecksumMismatch, zlib.error) as error:
        msg = f"The object of commit {quoted(sha)} is damaged: {cause(error)}."
        raise CheckoutError(msg, hint="Run `git fsck` for details.") from error
    finally:
        store.close()


def _decoded(message: bytes, encoding: str) -> str:
    """Decode a message in the commit's encoding, or as UTF-8 if Python does not support that."""
    try:
        text = message.decode(encoding, "replace")
    except (LookupError, ValueError):
        text = message.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()  # some encodings can spell lone surrogates
