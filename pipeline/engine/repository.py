"""Reads what git knows of the caller's repository, from a `dagger.Workspace`."""

from __future__ import annotations

import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
import dagger
from dulwich.config import ConfigFile

from pipeline.concurrency import each
from pipeline.engine.git_objects import CommittedSource, is_committed, overlooked_paths, read_commit
from pipeline.rules.build_inputs import DOCKERFILES
from pipeline.rules.checkout import Checkout
from pipeline.rules.errors import CheckoutError
from pipeline.rules.refs import TAGS, CommitSha, parse_commit, parse_version
from pipeline.rules.source_path import TOP, is_below
from pipeline.rules.text import cause

_DETACHED = "HEAD"
_GIT = ".git"
_CONFIG_PATH = ".git/config"
_ORIGIN_HEAD = ".git/refs/remotes/origin/HEAD"
_INDEX = ".git/index"
_SHALLOW = ".git/shallow"
_NO_COMMON_ANCESTOR = ("git merge-base failed", "failed to fetch ref")
"""An engine's messages if the repository does not hold a commit, or two commits have no ancestor in common."""
_RULES = (".gitignore", ".gitattributes")
_GLOB = re.compile(r"[*?\[\]\\]")


class RepositoryFiles(Protocol):
    """The files of the repository; the part of `dagger.Workspace` that is used."""

    def directory(
        self, path: str, *, exclude: list[str] | None = None, include: list[str] | None = None
    ) -> dagger.Directory:
        """Return a directory; paths that start with `/` start at the repository's top."""


async def read_checkout(
    files: RepositoryFiles, source: str, requested: str | None = None, dockerfile: str | None = None
) -> Checkout:
    """Read what is checked out.

    Args:
        files: The files of the caller's repository.
        source: The directory to build: its path from the repository's top.
        requested: The ref that the caller requests, if any.
        dockerfile: The path in the source of the Dockerfile that the caller requests, if any.

    Raises:
        CheckoutError: There is no repository or no commit, or git failed.
    """
    top = files.directory("/", include=[_GIT])
    repository = top.as_git()
    head = repository.head()
    try:
        sha = parse_commit(await head.commit())
        ref = await head.ref()
        tags = await _version_tags_at(repository, sha) if ref == _DETACHED else ()
        tagged = await _tagged_commit(repository, requested)
        origin = await _origin(top)
        default_branch = await _default_branch(top)
    except dagger.QueryError as error:
        msg = f"Git could not read what is checked out: {cause(error)}."
        raise CheckoutError(msg, hint="Run this in a git repository with at least one commit.") from error
    committed = await _read_commit(head, sha, source)
    try:
        working_tree = files.directory("/", include=_with_git_rules(source))
        dirty = await _dirty_paths(working_tree, source, committed)
        has_source = source == TOP or await working_tree.exists(source)
        wanted = DOCKERFILES if dockerfile is None else (dockerfile,)
        dockerfiles = tuple([name for name in wanted if await working_tree.exists(f"{source}/{name}")])
    except dagger.QueryError as error:
        msg = f"Git could not compare the working tree with its commit: {cause(error)}."
        raise CheckoutError(msg) from error
    return Checkout(
        head=committed.commit,
        ref=None if ref == _DETACHED else ref,
        tags=tags,
        origin=origin,
        default_branch=default_branch,
        tagged=tagged,
        dirty=dirty,
        has_source=has_source,
        dockerfiles=dockerfiles,
    )


@dataclass(frozen=True, slots=True)
class WorkspaceHistory:
    """The order of commits, as the caller's repository holds them.

    Attributes:
        files: The files of the repository.
    """

    files: RepositoryFiles

    async def descends(self, commit: CommitSha, ancestor: CommitSha) -> bool | None:
        """Return whether a commit is a descendant of another one; None if the repository does not hold enough to tell.

        Raises:
            CheckoutError: The engine failed otherwise.
        """
        top = self.files.directory("/", include=[_GIT])
        repository = top.as_git()
        try:
            common = await repository.commit(ancestor).common_ancestor(repository.commit(commit)).commit()
            is_descendant = common == ancestor
            return None if not is_descendant and await top.glob(_SHALLOW) else is_descendant
        except dagger.QueryError as error:
            if any(text in str(error) for text in _NO_COMMON_ANCESTOR):
                return None
            msg = f"Git could not compare commit {commit} with {ancestor}: {cause(error)}."
            raise CheckoutError(msg) from error


async def _dirty_paths(top: dagger.Directory, source: str, committed: CommittedSource) -> tuple[str, ...]:
    """Return the paths in the source that differ from HEAD.

    Only the source and git's own files are read, so that git reports everything else as removed.
    """
    changes = top.as_git().uncommitted()
    found: set[str] = set()
    if not await changes.is_empty():
        found = {*await changes.modified_paths(), *await changes.added_paths(), *await changes.removed_paths()}
    for path in committed.submodules:
        if not await top.glob(f"{_escaped(path)}/{_GIT}"):
            found.add(path)
    found.update(await _overlooked_paths(top, source, committed))
    return tuple(sorted(path for path in found if is_below(path, source)))


async def _overlooked_paths(top: dagger.Directory, source: str, committed: CommittedSource) -> list[str]:
    """Return the paths that differ from HEAD where git was told to overlook that.

    The index of a worktree is outside of it, and is not seen here.
    """
    if _INDEX not in await top.glob(_INDEX):
        return []
    with tempfile.TemporaryDirectory(prefix="backend-pipeline-") as folder:
        index = Path(folder, "index")
        await top.file(_INDEX).export(str(index))
        paths = await anyio.to_thread.run_sync(overlooked_paths, index, source)
        if not paths:
            return []
        tree = Path(folder, "tree")
        await top.filter(include=[_escaped(path) for path in paths]).export(str(tree))
        return [path for path in paths if not is_committed(tree / path, committed.files.get(path))]


def _with_git_rules(source: str) -> list[str]:
    """Return the patterns of the source, `.git`, and the files above the source that decide what git ignores."""
    if source == TOP:
        return []
    parts = _escaped(source).split("/")
    above = ["/".join([*parts[:depth], rules]) for depth in range(len(parts)) for rules in _RULES]
    return [_GIT, *above, "/".join(parts)]


def _escaped(path: str) -> str:
    """Return the pattern that only this path matches."""
    return _GLOB.sub(r"\\\g<0>", path)


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
    text = await _contents(top, _CONFIG_PATH)
    if text is None:
        return None
    try:
        value = ConfigFile.from_file(io.BytesIO(text.encode())).get((b"remote", b"origin"), b"url")
    except (KeyError, ValueError):
        return None  # a repository without an origin, or with a configuration that git itself would refuse
    return value.decode(errors="replace")


async def _default_branch(top: dagger.Directory) -> str | None:
    """Return the branch that the HEAD of `origin` points to, as a clone with `git clone` knows it."""
    text = await _contents(top, _ORIGIN_HEAD)
    return None if text is None else text.strip().partition("ref: refs/remotes/origin/")[2] or None


async def _contents(top: dagger.Directory, path: str) -> str | None:
    # Not `exists`, which fails in a worktree.
    return await top.file(path).contents() if path in await top.glob(path) else None


async def _read_commit(head: dagger.GitRef, sha: CommitSha, source: str) -> CommittedSource:
    """Read a commit from its objects: the engine's API has neither its message and time nor its trees."""
    objects = head.tree(depth=1).directory(_GIT).filter(include=["objects"])
    with tempfile.TemporaryDirectory(prefix="backend-pipeline-") as folder:
        try:
            await objects.export(folder)
        except dagger.QueryError as error:
            msg = f"Git could not read commit {sha}: {cause(error)}."
            raise CheckoutError(msg) from error
        return await anyio.to_thread.run_sync(read_commit, Path(folder) / "objects", sha, source)
