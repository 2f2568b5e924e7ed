"""What git knows about the source, as one value, and the ref and commit of a run that follow from it.

Pure. The value is read in `pipeline.engine.repository` from a `dagger.GitRepository`, and in
`ci.local.git_checkout` from git on the host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.rules.build_inputs import DOCKERFILES
from pipeline.rules.errors import RefError
from pipeline.rules.refs import CommitSha, parse_commit, parse_version, short_sha


@dataclass(frozen=True, slots=True)
class Commit:
    """What is known about a commit.

    Attributes:
        sha: Its full name.
        message: Its whole message; empty if git does not have the commit.
        time: When it was committed, in UTC; None if git does not have the commit.
        source_tree: Git's id of the source directory in it; None if git does not have it.
    """

    sha: CommitSha
    message: str = ""
    time: datetime | None = None
    source_tree: str | None = None

    @property
    def short_sha(self) -> str:
        """The first seven digits."""
        return short_sha(self.sha)

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0].strip()


@dataclass(frozen=True, slots=True)
class Checkout:
    """What is checked out.

    Attributes:
        head: The commit at HEAD.
        ref: The full name of the branch at HEAD; None if HEAD is detached.
        tags: The short names of the tags at HEAD.
        origin: The URL of the remote `origin`; None if it has none.
        default_branch: The branch that the HEAD of `origin` points to; None if git does not know it.
        named: The commit that the caller requests, if git has it and it is not the one at HEAD.
        tagged: The commit that the requested tag points to, if git has that tag.
        dirty: The paths in the source, from the repository's top, that differ from the commit; ignored files do not
            count.
        has_source: Whether the source directory exists in the working tree, and not behind a symbolic link.
        dockerfiles: The Dockerfile that the caller requests, or the usual names of one, as far as the source has them.
    """

    head: Commit
    ref: str | None = None
    tags: tuple[str, ...] = ()
    origin: str | None = field(default=None, repr=False)  # may hold a password
    default_branch: str | None = None
    named: Commit | None = None
    tagged: CommitSha | None = None
    dirty: tuple[str, ...] = ()
    has_source: bool = True
    dockerfiles: tuple[str, ...] = DOCKERFILES


def effective_ref(checkout: Checkout | None, ref: str | None) -> str:
    """Return the ref that a run is for: the caller's, else the branch at HEAD, else the only version tag at HEAD.

    Args:
        checkout: What is checked out, or None if that is unknown.
        ref: The full ref that the caller requests, or None.

    Raises:
        RefError: The ref is unknown or ambiguous.
    """
    if ref is not None:
        return ref
    if checkout is None:
        msg = "The ref is unknown: there is no git checkout."
        raise RefError(msg, hint="Give --ref refs/heads/<branch> or refs/tags/vX.Y.Z.")
    if checkout.ref is not None:
        return checkout.ref
    versions = [tag for tag in checkout.tags if parse_version(tag) is not None]
    if len(versions) == 1:
        return f"refs/tags/{versions[0]}"
    if versions:
        msg = f"HEAD is detached at {checkout.head.short_sha}, and {', '.join(versions)} all point to it."
        raise RefError(msg, hint=f"Give one of them, such as --ref refs/tags/{versions[0]}.")
    msg = f"HEAD is detached at {checkout.head.short_sha}, and no version tag points to it."
    raise RefError(msg, hint="Give --ref refs/heads/<branch>, or check out a branch.")


def effective_commit(checkout: Checkout | None, sha: str | None) -> Commit:
    """Return the commit that a run is for: the caller's, else the one at HEAD.

    Args:
        checkout: What is checked out, or None if that is unknown.
        sha: The full commit that the caller requests, or None.

    Returns:
        The commit, with message and time if the checkout has them.

    Raises:
        RefError: The commit is not a full one, or is unknown.
    """
    if sha is None:
        if checkout is None:
            msg = "The commit is unknown: there is no git checkout."
            raise RefError(msg, hint="Give --sha with the full commit.")
        return checkout.head
    full = parse_commit(sha)
    known = () if checkout is None else (checkout.head, checkout.named)
    return next((commit for commit in known if commit is not None and commit.sha == full), Commit(sha=full))


def commit_time(seconds: int) -> datetime | None:
    """Return git's committer date, in seconds since 1970, as a time in UTC; None if it is out of range."""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
