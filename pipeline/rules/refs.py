"""Git refs and commits, and which of them can be published.

Pure. A ref is a full name (`refs/heads/master`, `refs/tags/v1.2.3`), as git and GitHub's `GITHUB_REF` write it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import NewType

from pipeline.rules.errors import RefError
from pipeline.rules.text import has_control_characters, quoted

CommitSha = NewType("CommitSha", str)
"""A full commit name: 40 hexadecimal digits in lower case."""

SHORT_SHA_LENGTH = 7
BRANCHES = "refs/heads/"
TAGS = "refs/tags/"

_COMMIT = re.compile(r"[0-9a-fA-F]{40}")
_NO_TEXT = re.compile(r"[\ud800-\udfff]")
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRERELEASE_PART = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"v(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<prerelease>{_PRERELEASE_PART}(?:\.{_PRERELEASE_PART})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_LONGEST_NUMBER = 80

_PUBLISHABLE = "Only refs/heads/<branch> and refs/tags/vX.Y.Z[-<prerelease>][+<build>] can be published."


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version (SemVer 2.0.0, section 2 and 9 to 11) as a git tag spells it, with a leading `v`."""

    major: int
    minor: int
    patch: int
    prerelease: str | None = None
    build: str | None = None

    @property
    def is_stable(self) -> bool:
        """Whether it is not a prerelease; build metadata makes no difference."""
        return self.prerelease is None

    def __str__(self) -> str:
        text = f"v{self.major}.{self.minor}.{self.patch}"
        if self.prerelease is not None:
            text += f"-{self.prerelease}"
        return text if self.build is None else f"{text}+{self.build}"

    def __lt__(self, other: Version) -> bool:
        return self._precedence() < other._precedence()

    def _precedence(self) -> tuple[object, ...]:
        """Order by SemVer section 11; versions that differ in build alone are ordered by its text."""
        parts = () if self.prerelease is None else tuple(map(_identifier, self.prerelease.split(".")))
        return (self.major, self.minor, self.patch, self.is_stable, parts, self.build or "")


@dataclass(frozen=True, slots=True)
class BranchRef:
    """A branch: its tag moves with each build."""

    full_name: str
    name: str


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version tag: written once and never again."""

    full_name: str
    version: Version


PublishableRef = BranchRef | VersionRef


def parse_ref(full_name: str) -> PublishableRef:
    """Return the kind of a ref.

    Whether a branch's name is valid is left to git. Control characters, and bytes that are not UTF-8 (lone surrogates
    in Python), are refused in any case: no report could contain them.

    Args:
        full_name: The full ref, such as `refs/heads/master`.

    Raises:
        RefError: It is neither a branch nor a version tag.
    """
    if has_control_characters(full_name):
        msg = f"The ref {quoted(full_name)} contains control characters."
        raise RefError(msg, hint=_PUBLISHABLE)
    if _NO_TEXT.search(full_name):
        msg = f"The ref {quoted(full_name)} is not UTF-8."
        raise RefError(msg, hint=_PUBLISHABLE)
    if branch := _after(BRANCHES, full_name):
        return BranchRef(full_name=full_name, name=branch)
    if tag := _after(TAGS, full_name):
        version = parse_version(tag)
        if version is None:
            msg = f"The tag {quoted(tag)} is not a version such as v1.2.3 or v1.2.3-rc.1."
            raise RefError(msg, hint=_PUBLISHABLE)
        return VersionRef(full_name=full_name, version=version)
    msg = f"The ref {quoted(full_name)} cannot be published." if full_name else "The ref is empty."
    meant = f"refs/{'heads' if parse_version(full_name) is None else 'tags'}/{full_name}"
    guess = "" if "/" in full_name or not full_name else f"Did you mean {quoted(meant)}? "
    raise RefError(msg, hint=guess + _PUBLISHABLE)


def parse_version(tag: str) -> Version | None:
    """Read a git tag as a version; return None if it is not one (`v1`, `v01.2.3`, `vendor.x.y`)."""
    match = _VERSION.fullmatch(tag)
    if match is None:
        return None
    major, minor, patch = match["major"], match["minor"], match["patch"]
    if max(map(len, (major, minor, patch))) > _LONGEST_NUMBER:
        return None  # too long for an image tag, and Python refuses to convert thousands of digits
    return Version(
        major=int(major),
        minor=int(minor),
        patch=int(patch),
        prerelease=match["prerelease"],
        build=match["build"],
    )


def parse_commit(sha: str) -> CommitSha:
    """Check a full commit name and return it in lower case.

    Raises:
        RefError: It does not have 40 hexadecimal digits.
    """
    if not is_commit(sha):
        msg = f"The commit {quoted(sha)} is not a full commit: expected 40 hex digits, got {len(sha)} characters."
        raise RefError(msg, hint="Give the full commit, as `git rev-parse HEAD` prints it.")
    return CommitSha(sha.lower())


def is_commit(text: str) -> bool:
    """Return whether a text is a full commit name, in either case."""
    return _COMMIT.fullmatch(text) is not None


def short_sha(commit: CommitSha) -> str:
    """Return the first seven digits, as tags and titles have them."""
    return commit[:SHORT_SHA_LENGTH]


def _after(prefix: str, full_name: str) -> str:
    return full_name.removeprefix(prefix) if full_name.startswith(prefix) else ""


def _identifier(part: str) -> tuple[int, int, str]:
    """Return the rank of a prerelease identifier: numbers by value and below words, words in ASCII order."""
    return (0, len(part), part) if part.isdigit() else (1, 0, part)
