"""Reads the local checkout with git; inside an engine, `pipeline.engine.repository` does the same."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ci.system.git_settings import NO_TRANSPORT, STARTS_NO_PROGRAM
from ci.system.owned_folders import temporary_folder
from ci.system.processes import Completed, plain_environment, run_process
from pipeline.concurrency import each
from pipeline.rules.build_inputs import DOCKERFILES
from pipeline.rules.checkout import Checkout, Commit, commit_time
from pipeline.rules.errors import CheckoutError
from pipeline.rules.refs import TAGS, CommitSha, is_commit, parse_commit
from pipeline.rules.source_path import TOP

_SECONDS = 60.0
_VARIABLES = re.compile(r"GIT_(CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|CONFIG_\w+)")
_COMMIT = ("log", "-1", "--encoding=UTF-8", "--format=%H%x00%ct%x00%B")
_ORIGIN_HEAD = "refs/remotes/origin/HEAD"
_QUESTIONS = {
    "ref": ("symbolic-ref", "--quiet", "HEAD"),
    "commit": (*_COMMIT, "HEAD"),
    "tags": ("tag", "--points-at", "HEAD"),
    "default branch": ("symbolic-ref", "--quiet", "--short", _ORIGIN_HEAD),
    "origin": ("config", "--get", "remote.origin.url"),
}
_STATUS = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")
_SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class HostCheckout:
    """A local checkout.

    Attributes:
        top: The top directory of its working tree.
        checkout: Its commit, ref, tags, origin and changed paths.
    """

    top: Path
    checkout: Checkout


async def read_host_checkout(
    folder: Path,
    source: str = TOP,
    named: str | None = None,
    ref: str | None = None,
    dockerfile: str | None = None,
) -> HostCheckout:
    """Read the checkout that contains a directory.

    Args:
        folder: Any directory of the checkout.
        source: The directory to build, whose changes count: its path from the top.
        named: The commit that the user gave; it may be invalid or missing in the repository.
        ref: The ref that the user gave; it may be invalid or missing in the repository.
        dockerfile: The path in the source of the Dockerfile that the user gave.

    Raises:
        CheckoutError: Git is not installed, or there is no repository or no commit.
    """
    top = await _git(folder, "rev-parse", "--show-toplevel")
    if top.exit_code != 0:
        raise _no_repository(folder, top.stderr)
    top_folder = Path(top.stdout.removesuffix("\n"))
    answers: dict[str, Completed] = {}

    async def ask(name: str) -> None:
        answers[name] = await _git(folder, *_QUESTIONS[name])

    await each(_QUESTIONS, ask)
    if answers["commit"].exit_code != 0:
        raise await _no_commit(folder, str(top_folder), answers["commit"].stderr)
    head = await _with_source_tree(top_folder, source, _read_commit(answers["commit"]))
    wanted = DOCKERFILES if dockerfile is None else (dockerfile,)
    return HostCheckout(
        top=top_folder,
        checkout=Checkout(
            head=head,
            named=await _other_commit(top_folder, source, named, head),
            tagged=await _tagged_commit(folder, ref),
            ref=answers["ref"].stdout.strip() or None,
            tags=tuple(answers["tags"].stdout.split()),
            default_branch=answers["default branch"].stdout.strip().removeprefix("origin/") or None,
            origin=answers["origin"].stdout.strip() or None,
            dirty=await _dirty_paths(top_folder, source),
            has_source=_has_directory(top_folder, source),
            dockerfiles=tuple(name for name in wanted if (top_folder / source / name).is_file()),
        ),
    )


@dataclass(frozen=True, slots=True)
class HostHistory:
    """The order of commits, as a local repository holds them.

    Attributes:
        folder: Any directory of the checkout.
    """

    folder: Path

    async def descends(self, commit: CommitSha, ancestor: CommitSha) -> bool | None:
        """Return whether a commit is a descendant of another one; None if the repository does not hold enough to tell.

        Raises:
            CheckoutError: Git is not installed, or took too long.
        """
        answer = await _git(self.folder, "merge-base", "--is-ancestor", ancestor, commit)
        if answer.exit_code != 1:
            return True if answer.exit_code == 0 else None
        shallow = await _git(self.folder, "rev-parse", "--is-shallow-repository")
        return False if shallow.stdout.strip() == "false" else None


def _has_directory(top: Path, path: str) -> bool:
    """Return whether a path is a directory. Of one behind a symbolic link, git does not say there what it holds."""
    return (top / path).is_dir() and (top / path).resolve() == top.resolve() / path


async def _dirty_paths(top: Path, source: str) -> tuple[str, ...]:
    """Return the paths in the source that differ from HEAD, even where git was told to overlook that."""
    within = () if source == TOP else ("--", f":(top,literal){source}")
    dirty = await _changed_paths(top, within)
    overlooked = False
    listed = _compared(await _git(top, "ls-files", "-v", "--stage", "-z", *within))
    for entry in listed.stdout.split("\x00"):
        attributes, _, path = entry.partition("\t")
        tag, _, mode = attributes.partition(" ")
        overlooked = overlooked or tag.islower() or tag == "S"  # assume-unchanged, skip-worktree
        # Git would ask a submodule without our settings.
        if mode.startswith(_SUBMODULE) and (not (top / path / ".git").exists() or await _dirty_paths(top / path, TOP)):
            dirty.add(path)
    if overlooked:
        with temporary_folder() as folder:
            fresh = {"GIT_INDEX_FILE": os.fspath(folder / "index")}  # without what the other index says of files
            _compared(await _git(top, "read-tree", "HEAD", env=fresh))
            dirty |= await _changed_paths(top, within, fresh)
    return tuple(sorted(dirty))


async def _changed_paths(top: Path, within: Sequence[str], env: Mapping[str, str] | None = None) -> set[str]:
    status = _compared(await _git(top, *_STATUS, *within, env=env))
    return {entry[3:] for entry in status.stdout.split("\x00") if entry}


def _compared(answer: Completed) -> Completed:
    if answer.exit_code != 0:
        msg = f"Git could not compare the working tree with its commit: {_first_line(answer.stderr)}"
        raise CheckoutError(msg)
    return answer


def _read_commit(answer: Completed) -> Commit:
    sha, seconds, message = answer.stdout.split("\x00", 2)
    return Commit(sha=parse_commit(sha), message=message.removesuffix("\n"), time=commit_time(int(seconds)))


async def _with_source_tree(top: Path, source: str, commit: Commit) -> Commit:
    tree = f"{commit.sha}^{{tree}}" if source == TOP else f"{commit.sha}:{source}"
    answer = await _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", tree)
    return replace(commit, source_tree=answer.stdout.strip() if answer.exit_code == 0 else None)


async def _other_commit(folder: Path, source: str, named: str | None, head: Commit) -> Commit | None:
    """Read the commit that the user gave, if the repository has it and it is not at HEAD."""
    if named is None or not is_commit(named) or named.lower() == head.sha:
        return None
    answer = await _git(folder, *_COMMIT, f"{named}^{{commit}}")
    return await _with_source_tree(folder, source, _read_commit(answer)) if answer.exit_code == 0 else None


async def _tagged_commit(folder: Path, ref: str | None) -> CommitSha | None:
    """Read the commit that a tag points to, if the repository has it."""
    if ref is None or not ref.startswith(TAGS) or "\x00" in ref:
        return None
    answer = await _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    return parse_commit(answer.stdout.strip()) if answer.exit_code == 0 else None


async def _git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Completed:
    settings = [word for name, value in STARTS_NO_PROGRAM.items() for word in ("-c", f"{name}={value}")]
    command = ["git", "--no-optional-locks", *settings, *arguments]
    environment = plain_environment(*filter(_VARIABLES.fullmatch, os.environ)) | NO_TRANSPORT | dict(env or {})
    try:
        return await run_process(command, cwd=folder, time_limit=_SECONDS, env=environment)
    except FileNotFoundError as error:
        if not folder.is_dir():
            msg = f"Directory {folder} not found."
            raise CheckoutError(msg) from error
        msg = "Git is not installed."
        raise CheckoutError(msg, hint="`make setup` installs it.") from error
    except NotADirectoryError as error:
        msg = f"Directory {folder} not found."
        raise CheckoutError(msg) from error
    except TimeoutError as error:
        msg = f"`git {arguments[0]}` did not finish within {_SECONDS:.0f} s."
        raise CheckoutError(msg) from error


def _no_repository(folder: Path, complaint: str) -> CheckoutError:
    # The only line that git does not translate.
    way_out = next((line.strip() for line in complaint.splitlines() if "--add safe.directory" in line), None)
    if way_out is not None:
        msg = f"{folder} is in a git repository of another user, which git refuses to read."
        return CheckoutError(msg, hint=f"If you trust it: {way_out}")
    msg = f"{folder} is not in a git repository: {_first_line(complaint)}"
    return CheckoutError(msg, hint="Run this in a clone of the repository to build.")


async def _no_commit(folder: Path, top: str, complaint: str) -> CheckoutError:
    named = await _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if named.exit_code == 0:
        return CheckoutError(f"Git could not read the commit {named.stdout.strip()}: {_first_line(complaint)}")
    msg = f"The git repository {top} has no commit yet."
    return CheckoutError(msg, hint="Commit first: an image is named after its commit.")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
