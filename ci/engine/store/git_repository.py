"""A read-only view of a git repository in a directory: the engine's `GitRepository`.

The user's and the system's git configuration do not affect it, and nothing is written to the repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from ci.engine.errors import GitError
from ci.engine.store.git_commands import complaint, run_git
from ci.engine.store.git_tree import CommitTree, check_out
from ci.system.owned_folders import temporary_folder
from ci.system.processes import Completed

_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_SECONDS = 60.0
_REF_FORMAT = "%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"


@dataclass(frozen=True, slots=True)
class GitRefInfo:
    """A ref and what it points to.

    Attributes:
        commit: The full commit; an annotated tag is peeled.
        ref: The full name, such as `refs/heads/main`; `HEAD` if it is detached.
    """

    commit: str
    ref: str


@dataclass(frozen=True, slots=True)
class Uncommitted:
    """How the working tree differs from HEAD: files and links by their paths in the repository, in order.

    Attributes:
        modified: In both, and different.
        added: Neither in HEAD nor ignored, staged or not.
        removed: In HEAD alone. A rename is one removed and one added path.
    """

    modified: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the working tree is the same as HEAD."""
        return not (self.modified or self.added or self.removed)


class LocalRepository:
    """The repository in a directory: a checkout, a worktree, a shallow clone or a bare one.

    Every method raises `GitError` if git fails or takes too long.

    Args:
        path: The directory that contains `.git`, or a bare repository. Directories above it are not searched.

    Raises:
        GitError: It is not a git repository.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._bare = not (self._path / ".git").exists()
        if self._bare and not ((self._path / "HEAD").is_file() and (self._path / "objects").is_dir()):
            msg = f"not a git repository: {os.fspath(path)!r}"
            raise GitError(msg, hint="Use the directory that contains `.git`.")
        self._git_dir = self._path if self._bare else self._path / ".git"

    async def head(self) -> GitRefInfo:
        """Return what is checked out."""
        name = await self._try("symbolic-ref", "--quiet", "HEAD")
        ref = name or "HEAD"
        commit = await self._try("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        if commit is None:
            msg = f"HEAD has no commit: {ref} does not exist yet, or is damaged"
            raise GitError(msg, hint="Commit something first.")
        return GitRefInfo(commit, ref)

    async def tag(self, name: str) -> GitRefInfo:
        """Return a tag by its name."""
        ref = f"refs/tags/{name.removeprefix('refs/tags/')}"
        found = (await self._refs()).get(ref)
        if found is None:
            msg = f"the repository has no tag {name!r}"
            raise GitError(msg, hint="Fetch it, or list the tags with `git tag`.")
        commit = await self._peel(*found)
        if commit is None:
            msg = f"{ref} does not point to a commit"
            raise GitError(msg)
        return GitRefInfo(commit, ref)

    async def tags(self) -> list[str]:
        """List the tags by their names."""
        return [name.removeprefix("refs/tags/") for name in await self._refs() if name.startswith("refs/tags/")]

    async def common_ancestor(self, commit: str, repository: LocalRepository, other: str) -> str:
        """Return the best common ancestor of a commit and one of the same or another repository."""
        objects = await repository._git("rev-parse", "--path-format=absolute", "--git-path", "objects")
        env = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
        done = await self._run(("merge-base", "--end-of-options", commit, other), env)
        if done.exit_code:
            msg = f"git merge-base failed: {complaint(done)}"
            raise GitError(msg)
        return done.stdout.strip()

    async def uncommitted(self) -> Uncommitted:
        """Compare the working tree with HEAD."""
        if self._bare:
            return Uncommitted((), (), ())
        await self.head()
        index = Path(await self._git("rev-parse", "--git-path", "index"))
        with temporary_folder() as folder:
            # Staging does not count, so this index is HEAD's; it still knows which files are unchanged.
            copy = folder / "index"
            await to_thread.run_sync(_copy_index, index, copy)
            env = {"GIT_INDEX_FILE": os.fspath(copy)}
            await self._git("read-tree", "--reset", "HEAD", env=env)
            status = await self._git("status", "--porcelain=v2", "--untracked-files=all", "--no-renames", env=env)
        return _read_status(status)

    async def check_out(self, wanted: CommitTree, target: Path) -> None:
        """Check out a commit into an empty directory."""
        common = Path(await self._git("rev-parse", "--path-format=absolute", "--git-common-dir"))
        await check_out(wanted, source=common, trusted=(common, self._path), target=target)

    async def _peel(self, kind: str, target: str) -> str | None:
        if kind == "tag":
            return await self._try("rev-parse", "--quiet", "--verify", f"{target}^{{commit}}")
        return target if kind == "commit" else None

    async def _refs(self) -> dict[str, tuple[str, str]]:
        refs = {}
        for line in (await self._git("for-each-ref", f"--format={_REF_FORMAT}")).split("\n"):
            if line:
                name, kind, target, inner_kind, inner = line.split("\0")
                refs[name] = (inner_kind or kind, inner or target)
        return refs

    async def _git(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        done = await self._run(arguments, env)
        if done.exit_code:
            raise self._failure(arguments, done)
        return done.stdout.removesuffix("\n")

    async def _try(self, *arguments: str) -> str | None:
        """Run git and return its output, or None if it reports with exit code 1 that it found nothing."""
        done = await self._run(arguments, None)
        if done.exit_code > 1 or done.exit_code < 0:
            raise self._failure(arguments, done)
        return None if done.exit_code else done.stdout.removesuffix("\n")

    async def _run(self, arguments: Sequence[str], env: Mapping[str, str] | None) -> Completed:
        where = [f"--git-dir={self._git_dir}", *([] if self._bare else [f"--work-tree={self._path}"])]
        return await run_git((*where, *arguments), cwd=self._path, env=env, time_limit=_SECONDS)

    def _failure(self, arguments: Sequence[str], done: Completed) -> GitError:
        return GitError(f"git {arguments[0]} failed in {os.fspath(self._path)!r}: {complaint(done)}")


def _copy_index(index: Path, copy: Path) -> None:
    if index.exists():
        copy.write_bytes(index.read_bytes())


def _read_status(status: str) -> Uncommitted:
    modified: list[str] = []
    added: list[str] = []
    removed: list[str] = []
    for line in status.split("\n"):
        if line.startswith("? "):
            path = _unquote(line[2:])
            if not path.endswith("/"):  # a repository inside the repository, which `git clean` keeps too
                added.append(path)
        elif line.startswith("1 "):
            _, changes, *_, path = line.split(" ", 8)
            (removed if changes[1] == "D" else modified).append(_unquote(path))
    return Uncommitted(*(tuple(sorted(paths, key=os.fsencode)) for paths in (modified, added, removed)))


def _unquote(path: str) -> str:
    """Read a path as git writes it: in C's quotes and escapes if a byte of it is not plain ASCII."""
    if not path.startswith('"'):
        return path

    def byte(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if code.isdigit() else _ESCAPED.get(code, code)

    return os.fsdecode(_ESCAPE.sub(byte, path[1:-1].encode()))
