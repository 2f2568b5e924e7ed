"""Reads the local checkout with git; inside an engine, `pipeline.engine.repository` does the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ci.system.processes import Completed, run_process
from pipeline.concurrency import each
from pipeline.rules.checkout import Checkout, Commit, commit_time
from pipeline.rules.errors import CheckoutError
from pipeline.rules.refs import TAGS, CommitSha, is_commit, parse_commit

_SECONDS = 60.0
_COMMIT = ("log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%H%x00%ct%x00%B")
_QUESTIONS = {
    "ref": ("symbolic-ref", "--quiet", "HEAD"),
    "commit": (*_COMMIT, "HEAD"),
    "tags": ("tag", "--points-at", "HEAD"),
    "origin": ("config", "--get", "remote.origin.url"),
    "status": ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"),
}


@dataclass(frozen=True, slots=True)
class HostCheckout:
    """A local checkout.

    Attributes:
        top: The top directory of its working tree.
        checkout: Its commit, ref, tags, origin and changed paths.
    """

    top: Path
    checkout: Checkout


async def read_host_checkout(folder: Path, named: str | None = None, ref: str | None = None) -> HostCheckout:
    """Read the checkout that contains a directory.

    Args:
        folder: Any directory of the checkout.
        named: The commit that the user gave; it may be invalid or missing in the repository.
        ref: The ref that the user gave; it may be invalid or missing in the repository.

    Raises:
        CheckoutError: Git is not installed, or there is no repository or no commit.
    """
    top = await _git(folder, "rev-parse", "--show-toplevel")
    if top.exit_code != 0:
        raise _no_repository(folder, top.stderr)
    answers: dict[str, Completed] = {}

    async def ask(name: str) -> None:
        answers[name] = await _git(folder, *_QUESTIONS[name])

    await each(_QUESTIONS, ask)
    if answers["commit"].exit_code != 0:
        raise await _no_commit(folder, top.stdout.removesuffix("\n"), answers["commit"].stderr)
    if answers["status"].exit_code != 0:
        msg = f"Git could not compare the working tree with its commit: {_first_line(answers['status'].stderr)}"
        raise CheckoutError(msg)
    head = _read_commit(answers["commit"])
    return HostCheckout(
        top=Path(top.stdout.removesuffix("\n")),
        checkout=Checkout(
            head=head,
            named=await _other_commit(folder, named, head),
            tagged=await _tagged_commit(folder, ref),
            ref=answers["ref"].stdout.strip() or None,
            tags=tuple(answers["tags"].stdout.split()),
            origin=answers["origin"].stdout.strip() or None,
            dirty=tuple(sorted(entry[3:] for entry in answers["status"].stdout.split("\x00") if entry)),
        ),
    )


def _read_commit(answer: Completed) -> Commit:
    sha, seconds, message = answer.stdout.split("\x00", 2)
    return Commit(sha=parse_commit(sha), message=message.removesuffix("\n"), time=commit_time(int(seconds)))


async def _other_commit(folder: Path, named: str | None, head: Commit) -> Commit | None:
    """Read the commit that the user gave, if the repository has it and it is not at HEAD."""
    if named is None or not is_commit(named) or named.lower() == head.sha:
        return None
    answer = await _git(folder, *_COMMIT, f"{named}^{{commit}}")
    return _read_commit(answer) if answer.exit_code == 0 else None


async def _tagged_commit(folder: Path, ref: str | None) -> CommitSha | None:
    """Read the commit that a tag points to, if the repository has it."""
    if ref is None or not ref.startswith(TAGS) or "\x00" in ref:
        return None
    answer = await _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    return parse_commit(answer.stdout.strip()) if answer.exit_code == 0 else None


async def _git(folder: Path, *arguments: str) -> Completed:
    try:
        return await run_process(["git", "--no-optional-locks", *arguments], cwd=folder, time_limit=_SECONDS)
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
