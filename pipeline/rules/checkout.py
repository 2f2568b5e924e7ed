"""What git knows of the source, as one value, and how it becomes the ref and the commit of a run.

Pure. The value is read in `pipeline.engine.repository` from a `dagger.GitRepository`, and in
`ci.local.git_checkout` from git on the host.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from pipeline.rules.errors import RefError
from pipeline.rules.refs import CommitSha, parse_commit, parse_version, short_sha
from pipeline.rules.text import quoted

_LISTED_PATHS = 5


class Commit(BaseModel):
    """A commit as far as it is known.

    Attributes:
        sha: Its full name.
        message: Its whole message; empty where git does not hold the commit.
        time: When it was committed, in UTC; None where git does not hold the commit.
    """

    model_config = ConfigDict(frozen=True)

    sha: CommitSha
    message: str = ""
    time: datetime | None = None

    @property
    def short_sha(self) -> str:
        """The first seven digits."""
        return short_sha(self.sha)

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0].strip()


class Checkout(BaseModel):
    """What is checked out.

    Attributes:
        head: The commit at HEAD.
        ref: The full name of the branch at HEAD; None when HEAD is detached.
        tags: The short names of the tags at HEAD.
        origin: The URL of the remote `origin`; None where there is none.
        named: The commit that the caller named, where git holds it and it is not the one at HEAD.
        tagged: The commit that the tag of the ref asked for names, where git has that tag.
        dirty: The paths, from the repository's top, that are not what the commit says; ignored ones do not count.
    """

    model_config = ConfigDict(frozen=True)

    head: Commit
    ref: str | None = None
    tags: tuple[str, ...] = ()
    origin: str | None = Field(default=None, repr=False)  # may hold a password
    named: Commit | None = None
    tagged: CommitSha | None = None
    dirty: tuple[str, ...] = ()

    def dirty_summary(self) -> str:
        """Name the first few paths that differ, and say how many more there are."""
        listed = ", ".join(path if path.isprintable() else quoted(path) for path in self.dirty[:_LISTED_PATHS])
        rest = len(self.dirty) - _LISTED_PATHS
        return f"{listed} and {rest} more" if rest > 0 else listed


def effective_ref(checkout: Checkout | None, ref: str | None) -> str:
    """Decide which ref a run is for.

    What the caller gives comes first, then the branch at HEAD, then the one version tag at a detached HEAD.

    Args:
        checkout: What is checked out, or None where that is not known.
        ref: The full ref that the caller gave, or None.

    Raises:
        RefError: Nothing says which ref it is.
    """
    if ref is not None:
        return ref
    if checkout is None:
        msg = "There is no git checkout that says which ref this is."
        raise RefError(msg, hint="Give --ref refs/heads/<branch> or refs/tags/vX.Y.Z.")
    if checkout.ref is not None:
        return checkout.ref
    versions = [tag for tag in checkout.tags if parse_version(tag) is not None]
    if len(versions) == 1:
        return f"refs/tags/{versions[0]}"
    if versions:
        msg = f"HEAD is detached at {checkout.head.short_sha}, and {', '.join(versions)} all name it."
        raise RefError(msg, hint=f"Say which one is meant: --ref refs/tags/{versions[0]}.")
    msg = f"HEAD is detached at {checkout.head.short_sha}, and no version tag names it."
    raise RefError(msg, hint="Say which ref is meant: --ref refs/heads/<branch>, or check out a branch.")


def effective_commit(checkout: Checkout | None, sha: str | None) -> Commit:
    """Decide which commit a run is for; what the caller gives comes first.

    Args:
        checkout: What is checked out, or None where that is not known.
        sha: The full commit that the caller gave, or None.

    Returns:
        The commit, with message and time where the checkout holds them.

    Raises:
        RefError: The commit is not a full one, or nothing says which one it is.
    """
    if sha is None:
        if checkout is None:
            msg = "There is no git checkout that says which commit this is."
            raise RefError(msg, hint="Give --sha with the full commit.")
        return checkout.head
    full = parse_commit(sha)
    known = () if checkout is None else (checkout.head, checkout.named)
    return next((commit for commit in known if commit is not None and commit.sha == full), Commit(sha=full))


def commit_time(seconds: int) -> datetime | None:
    """Turn git's committer date, in seconds since 1970, into a time in UTC; None where no calendar reaches it."""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
