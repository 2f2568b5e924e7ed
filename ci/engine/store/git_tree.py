"""Checks a commit of a local repository out into a folder of its own."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from anyio import to_thread

from ci.engine.store.git_commands import GitError, complaint, run_git
from ci.engine.store.snapshot_trees import remove_tree

_SECONDS = 600.0
_FETCHED = "refs/fetched/commit"


@dataclass(frozen=True, slots=True)
class Checkout:
    """What is checked out.

    Attributes:
        commit: The full commit.
        ref: The full name of the branch or tag that is checked out; empty for the commit alone.
        depth: How many commits the history in `.git` has; all for 0.
        include_tags: Whether the repository's tags are in `.git`.
    """

    commit: str
    ref: str = ""
    depth: int = 1
    include_tags: bool = False


async def check_out(
    wanted: Checkout, *, source: Path, trusted: Sequence[Path], target: Path, discard_git_dir: bool
) -> None:
    """Fetch a commit from a repository on this machine and check it out.

    Args:
        wanted: What.
        source: The repository's git folder, of a worktree the one that all of them share.
        trusted: Folders that git reads whoever owns them.
        target: Where to; it must be empty or missing.
        discard_git_dir: Leave `.git` out.

    Raises:
        GitError: The folder is not empty, git failed, or the commit has submodules.
    """
    await to_thread.run_sync(_make_ready, target)
    with tempfile.TemporaryDirectory(prefix="git-config-") as folder:
        config = Path(folder, "config")
        await to_thread.run_sync(config.write_text, _other_end(trusted))
        await _fill(wanted, source, target, config)
    await to_thread.run_sync(_tidy, wanted, target, discard_git_dir)


async def _fill(wanted: Checkout, source: Path, target: Path, config: Path) -> None:
    async def git(*arguments: str) -> None:
        env = {"GIT_CONFIG_GLOBAL": os.fspath(config)}
        done = await run_git(arguments, cwd=target, env=env, time_limit=_SECONDS)
        if done.exit_code:
            msg = f"the commit {wanted.commit} could not be checked out: {complaint(done)}"
            raise GitError(msg)

    flags = ["--update-head-ok", "--update-shallow", "--tags" if wanted.include_tags else "--no-tags"]
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
    await git("read-tree", "HEAD")  # an index without the times and inodes of this machine


def _other_end(trusted: Sequence[Path]) -> str:
    """Write settings for the sending side of a fetch, which sees none that stand in the environment."""
    lines = []
    for path in trusted:
        text = os.fspath(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'\tdirectory = "{text}"\n')
    return f"[safe]\n{''.join(lines)}[uploadpack]\n\tallowAnySHA1InWant = true\n"


def _make_ready(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        msg = f"{os.fspath(target)!r} is not empty: nothing can be checked out there"
        raise GitError(msg, hint="Name a folder that is empty or missing.")


def _tidy(wanted: Checkout, target: Path, discard_git_dir: bool) -> None:  # noqa: FBT001
    if (target / ".gitmodules").exists():
        msg = f"the commit {wanted.commit} has submodules, which are not served here"
        raise GitError(msg, hint="Use a Dagger engine.")
    git_dir = target / ".git"
    if discard_git_dir:
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
