"""Checks out a commit of a local repository into a separate directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from anyio import to_thread

from ci.engine.errors import GitError
from ci.engine.store.git_commands import complaint, run_git
from ci.system.owned_folders import remove_tree, temporary_folder

_SECONDS = 600.0
_FETCHED = "refs/fetched/commit"


@dataclass(frozen=True, slots=True)
class CommitTree:
    """The commit to check out, and how.

    Attributes:
        commit: The full commit.
        ref: The full name of the branch or tag to check out; empty for a detached HEAD.
        depth: How many commits of history `.git` has; all of them if 0.
        discard_git_dir: Leave `.git` out.
    """

    commit: str
    ref: str = ""
    depth: int = 1
    discard_git_dir: bool = False


async def check_out(wanted: CommitTree, *, source: Path, trusted: Sequence[Path], target: Path) -> None:
    """Fetch a commit from a local repository and check it out. Modes are git's own two, whatever the umask.

    Args:
        wanted: The commit.
        source: The repository's git directory; of a worktree, the common one.
        trusted: Directories that git reads whoever owns them.
        target: The destination; an empty directory.

    Raises:
        GitError: Git failed, or the commit has submodules.
    """
    with temporary_folder() as folder:
        config = folder / "config"
        await to_thread.run_sync(config.write_text, _other_end(trusted))
        await _fill(wanted, source, target, config)
    await to_thread.run_sync(_tidy, wanted, target)


async def _fill(wanted: CommitTree, source: Path, target: Path, config: Path) -> None:
    async def git(*arguments: str) -> None:
        env = {"GIT_CONFIG_GLOBAL": os.fspath(config)}
        done = await run_git(arguments, cwd=target, env=env, time_limit=_SECONDS)
        if done.exit_code:
            msg = f"the commit {wanted.commit} could not be checked out: {complaint(done)}"
            raise GitError(msg)

    flags = ["--update-head-ok", "--update-shallow", "--no-tags"]
    if wanted.depth > 0:
        flags.append(f"--depth={wanted.depth}")
    await git("init", "--quiet", "--template=")
    url = f"file://{quote(os.fsencode(source))}"
    await git("fetch", "--quiet", *flags, url, f"+{wanted.commit}:{_FETCHED}")
    if wanted.ref.startswith("refs/"):
        await git("update-ref", wanted.ref, wanted.commit)
    branch = wanted.ref.removeprefix("refs/heads/")
    if branch == wanted.ref:
        await git("checkout", "--quiet", "--detach", wanted.commit)
    else:
        await git("symbolic-ref", "HEAD", wanted.ref)
        await git("reset", "--quiet", "--hard", wanted.commit)
    await git("update-ref", "-d", _FETCHED)
    await git("reflog", "expire", "--all", "--expire=now")
    await git("read-tree", "HEAD")  # an index without the host's times and inodes


def _other_end(trusted: Sequence[Path]) -> str:
    """Return the configuration for the sending side of a fetch, which does not see that of the environment."""
    lines = []
    for path in trusted:
        text = os.fspath(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'\tdirectory = "{text}"\n')
    return f"[safe]\n{''.join(lines)}[uploadpack]\n\tallowAnySHA1InWant = true\n"


def _tidy(wanted: CommitTree, target: Path) -> None:
    if (target / ".gitmodules").exists():
        msg = f"the commit {wanted.commit} has submodules, which the embedded engine does not support"
        raise GitError(msg, hint="Use a Dagger engine.")
    git_dir = target / ".git"
    if wanted.discard_git_dir:
        remove_tree(git_dir)
    else:
        for leftover in ("FETCH_HEAD", "ORIG_HEAD", "logs"):
            remove_tree(git_dir / leftover)
    for folder, _, files in os.walk(target):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                path.chmod((0o555 if mode & stat.S_IXUSR else 0o444) | (mode & stat.S_IWUSR))
