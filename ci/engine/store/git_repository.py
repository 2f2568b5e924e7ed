"""A read-only view of a git repository in a folder, as the engine's `GitRepository` shows it.

The user's and the system's git configuration have no part in it, and nothing is written to the repository.
"""

from __future__ import annotations

import fnmatch
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from ci.engine.store.git_checkouts import Checkout, check_out
from ci.engine.store.git_commands import GitError, complaint, run_git
from ci.system.processes import Completed

__all__ = ["GitError", "GitRefInfo", "LocalRepository", "Uncommitted"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_SECONDS = 60.0
_REF_FORMAT = "%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"


@dataclass(frozen=True, slots=True)
class GitRefInfo:
    """A ref and what it points to.

    Attributes:
        commit: The full commit, of an annotated tag the commit behind it.
        ref: The full name, `refs/heads/main`; `HEAD` for a detached one; the commit itself where only that was asked.
    """

    commit: str
    ref: str


@dataclass(frozen=True, slots=True)
class Uncommitted:
    """How the working tree differs from HEAD: files and links by their paths in the repository, in order.

    Attributes:
        modified: In both, and not the same.
        added: Not in HEAD and not ignored, staged or not.
        removed: In HEAD alone. A rename is one removed and one added.
    """

    modified: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the working tree is what HEAD says."""
        return not (self.modified or self.added or self.removed)


class LocalRepository:
    """The repository in a folder: a checkout, a worktree, a shallow clone or a bare one.

    Every method raises `GitError` where git fails or takes too long, and says what was asked of it.

    Args:
        path: The folder that has `.git` in it, or a bare repository. Those above it are not looked at.

    Raises:
        GitError: There is no repository.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._bare = not (self._path / ".git").exists()
        if self._bare and not ((self._path / "HEAD").is_file() and (self._path / "objects").is_dir()):
            msg = f"there is no git repository in {os.fspath(path)!r}"
            raise GitError(msg, hint="Name the folder that has `.git` in it.")
        self._git_dir = self._path if self._bare else self._path / ".git"

    async def head(self) -> GitRefInfo:
        """Tell what is checked out."""
        name = await self._try("symbolic-ref", "--quiet", "HEAD")
        ref = name or "HEAD"
        commit = await self._try("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        if commit is None:
            msg = f"HEAD has no commit: {ref} does not exist yet, or is damaged"
            raise GitError(msg, hint="Commit something first.")
        return GitRefInfo(commit, ref)

    async def ref(self, name: str) -> GitRefInfo:
        """Find a ref by its full or short name, a branch before a tag, or a commit by its 40 digits."""
        if name == "HEAD":
            return await self.head()
        if _COMMIT.fullmatch(name):
            return await self.commit(name)
        short = name.removeprefix("refs/")
        candidates = (name, f"refs/{short}", f"refs/heads/{short}", f"refs/tags/{short}")
        return await self._find(name, "ref", candidates)

    async def branch(self, name: str) -> GitRefInfo:
        """Find a branch by its name."""
        return await self._find(name, "branch", (f"refs/heads/{name.removeprefix('refs/heads/')}",))

    async def tag(self, name: str) -> GitRefInfo:
        """Find a tag by its name."""
        return await self._find(name, "tag", (f"refs/tags/{name.removeprefix('refs/tags/')}",))

    async def commit(self, commit: str) -> GitRefInfo:
        """Find a commit by its 40 digits."""
        if not _COMMIT.fullmatch(commit):
            msg = f"{commit!r} is no full commit"
            raise GitError(msg, hint="Write all 40 digits, in lower case.")
        if await self._try("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}") != commit:
            msg = f"the repository does not have the commit {commit}"
            raise GitError(msg, hint="A shallow clone has only the last ones: fetch it.")
        return GitRefInfo(commit, commit)

    async def tags(self, patterns: Sequence[str] = ()) -> list[str]:
        """List tags by their short names, those that one of the patterns matches, as `git ls-remote` reads them."""
        return await self._names("refs/tags/", patterns)

    async def branches(self, patterns: Sequence[str] = ()) -> list[str]:
        """List branches in the same way."""
        return await self._names("refs/heads/", patterns)

    async def url(self) -> str | None:
        """Give no URL: a local checkout has none, even with an origin. So it is in the real engine."""
        return None

    async def uncommitted(self) -> Uncommitted:
        """Compare the working tree with HEAD."""
        if self._bare:
            return Uncommitted((), (), ())
        await self.head()
        index = Path(await self._git("rev-parse", "--git-path", "index"))
        with tempfile.TemporaryDirectory(prefix="git-index-") as folder:
            # What is staged does not count, so this index says what HEAD says; it still knows what is unchanged.
            copy = Path(folder, "index")
            await to_thread.run_sync(_copy_index, index, copy)
            env = {"GIT_INDEX_FILE": os.fspath(copy)}
            await self._git("read-tree", "--reset", "HEAD", env=env)
            status = await self._git("status", "--porcelain=v2", "--untracked-files=all", "--no-renames", env=env)
        return _read_status(status)

    async def tree(
        self,
        commit: str,
        target: Path,
        *,
        ref: str = "",
        depth: int = 1,
        discard_git_dir: bool = False,
        include_tags: bool = False,
    ) -> None:
        """Check a commit out into a folder. Modes there are git's own two, whatever the umask.

        Args:
            commit: Its 40 digits.
            target: Where to; it must be empty or missing.
            ref: The full name of the branch or tag that is checked out; detached at the commit otherwise.
            depth: How many commits the history in its `.git` has; all for 0.
            discard_git_dir: Leave `.git` out.
            include_tags: Have the repository's tags in its `.git`.
        """
        await self.commit(commit)
        common = Path(await self._git("rev-parse", "--path-format=absolute", "--git-common-dir"))
        await check_out(
            Checkout(commit, ref, depth, include_tags),
            source=common,
            trusted=(common, self._path),
            target=target,
            discard_git_dir=discard_git_dir,
        )

    async def _find(self, name: str, kind: str, candidates: Sequence[str]) -> GitRefInfo:
        refs = await self._refs()
        for candidate in candidates:
            if candidate in refs:
                commit = await self._peel(*refs[candidate])
                if commit is None:
                    msg = f"{candidate} does not point to a commit"
                    raise GitError(msg)
                return GitRefInfo(commit, candidate)
        msg = f"the repository has no {kind} {name!r}"
        raise GitError(msg, hint="Fetch it, or look for its name with `git for-each-ref`.")

    async def _peel(self, kind: str, target: str) -> str | None:
        if kind == "tag":
            return await self._try("rev-parse", "--quiet", "--verify", f"{target}^{{commit}}")
        return target if kind == "commit" else None

    async def _names(self, prefix: str, patterns: Sequence[str]) -> list[str]:
        names = [name for name in await self._refs() if name.startswith(prefix)]
        globs = [f"*/{pattern.replace('[^', '[!')}" for pattern in patterns]
        return [
            name.removeprefix(prefix)
            for name in names
            if not globs or any(fnmatch.fnmatchcase(f"/{name}", glob) for glob in globs)
        ]

    async def _refs(self) -> dict[str, tuple[str, str]]:
        refs = {}
        for line in (await self._git("for-each-ref", f"--format={_REF_FORMAT}")).split("\n"):
            if line:
                name, kind, target, inner_kind, inner = line.split("\0")
                refs[name] = (inner_kind or kind, inner or target)
        return refs

    async def _git(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        done = await self._ask(arguments, env)
        if done.exit_code:
            raise self._failure(arguments, done)
        return done.stdout.removesuffix("\n")

    async def _try(self, *arguments: str) -> str | None:
        """Ask something whose answer may be that there is none."""
        done = await self._ask(arguments, None)
        if done.exit_code > 1 or done.exit_code < 0:
            raise self._failure(arguments, done)
        return None if done.exit_code else done.stdout.removesuffix("\n")

    async def _ask(self, arguments: Sequence[str], env: Mapping[str, str] | None) -> Completed:
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
            if not path.endswith("/"):  # a repository in the repository, which `git clean` leaves alone too
                added.append(path)
        elif line.startswith("1 "):
            _, changes, *_, path = line.split(" ", 8)
            (removed if changes[1] == "D" else modified).append(_unquote(path))
    return Uncommitted(*(tuple(sorted(paths, key=os.fsencode)) for paths in (modified, added, removed)))


def _unquote(path: str) -> str:
    """Read a path as git writes it: in C's quotes and escapes where a byte of it is not plain ASCII."""
    if not path.startswith('"'):
        return path

    def byte(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if code.isdigit() else _ESCAPED.get(code, code)

    return os.fsdecode(_ESCAPE.sub(byte, path[1:-1].encode()))
