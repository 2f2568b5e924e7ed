"""Reads what git knows from a `dagger.GitRepository`."""

from __future__ import annotations

import io
import tempfile
import zlib
from pathlib import Path

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
from pipeline.rules.text import cause, quoted

_DETACHED = "HEAD"
_CONFIG_PATH = ".git/config"


async def read_checkout(
    repository: dagger.GitRepository, git_config: dagger.Directory, requested: str | None = None
) -> Checkout:
    """Read what is checked out.

    Args:
        repository: The repository, local or remote.
        git_config: The top directory of the checkout with at most `.git/config` in it; a worktree has none.
        requested: The ref that the caller requests, if any.

    Raises:
        CheckoutError: There is no commit, or git failed.
    """
    head = repository.head()
    try:
        sha = parse_commit(await head.commit())
        ref = await head.ref()
        url = await repository.url()
        # A remote repository has no working tree.
        dirty = await _dirty_paths(repository) if url is None else ()
        tags = await _version_tags_at(repository, sha) if ref == _DETACHED else ()
        tagged = await _tagged_commit(repository, requested)
        origin = await _origin(git_config) if url is None else url
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


async def _dirty_paths(repository: dagger.GitRepository) -> tuple[str, ...]:
    changes = repository.uncommitted()
    if await changes.is_empty():
        return ()
    paths = {*await changes.modified_paths(), *await changes.added_paths(), *await changes.removed_paths()}
    return tuple(sorted(paths))


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


async def _origin(git_config: dagger.Directory) -> str | None:
    # Not `exists`, which fails in a worktree, where .git is a file.
    if _CONFIG_PATH not in await git_config.glob(_CONFIG_PATH):
        return None
    text = await git_config.file(_CONFIG_PATH).contents()
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
