"""The tagging rules: from a ref and a commit to the tags of an image, in the order of writing.

Pure and total: every input gives a plan whose tags are valid and distinct, or a `RefError`. The rules are those of
`project/guides/deployment/docker-builds.md`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import assert_never

from pipeline.rules.errors import RefError
from pipeline.rules.image_name import TAG
from pipeline.rules.refs import (
    BranchRef,
    CommitSha,
    PublishableRef,
    Version,
    VersionRef,
    parse_commit,
    parse_ref,
    parse_version,
    short_sha,
)
from pipeline.rules.text import quoted

LATEST = "latest"
INCOMING = "incoming"
"""The tag that every upload goes to: it names the last upload, moves with each, and promises nothing."""

_LONGEST_TAG = 128
_OUTSIDE_GRAMMAR = re.compile(r"[^a-zA-Z0-9._-]+")
_HASH_LENGTH = 8
_ANOTHER_KIND = re.compile(
    rf"{LATEST}|{INCOMING}|sha-.*|v[0-9].*|branch-.*-[0-9a-f]{{{_HASH_LENGTH}}}",
    re.IGNORECASE | re.DOTALL,
)


class TagKind(StrEnum):
    """What a tag promises."""

    SHA = "sha"
    """One commit; written once."""
    VERSION = "version"
    """One release; written once."""
    BRANCH = "branch"
    """The newest build of a branch; moves."""
    LATEST = "latest"
    """The newest stable release; moves."""
    DIRTY = "dirty"
    """A working tree that no commit holds; written once."""

    @property
    def moves(self) -> bool:
        """Whether a later run may point the tag to another image."""
        return self in {TagKind.BRANCH, TagKind.LATEST}


class LatestPolicy(Enum):
    """When a stable version also becomes `latest`."""

    AUTO = "auto"
    """If no higher stable version is in the registry."""
    ALWAYS = "always"
    """Always, even if that moves it back."""
    NEVER = "never"
    """Never; `latest` stays where it is."""


@dataclass(frozen=True, slots=True)
class PlannedTag:
    """One tag of a plan."""

    name: str
    kind: TagKind


@dataclass(frozen=True, slots=True)
class TagPlan:
    """The tags of one run, in the order of writing."""

    ref: str
    commit: CommitSha
    tags: tuple[PlannedTag, ...]
    version: Version | None = None
    latest: LatestPolicy = LatestPolicy.AUTO

    @property
    def primary(self) -> PlannedTag:
        """The tag of exactly this commit."""
        return self.tags[0]

    @property
    def latest_condition(self) -> str | None:
        """When the plan's `latest` is written, if only the registry can tell; None if there is no condition."""
        if self.latest is not LatestPolicy.AUTO or all(tag.kind is not TagKind.LATEST for tag in self.tags):
            return None
        return f"{LATEST} moves only if no release higher than {self.version} is published"


def plan_tags(ref: str, commit: str, latest: LatestPolicy = LatestPolicy.AUTO) -> TagPlan:
    """Plan the tags of a build.

    Args:
        ref: The full ref, such as `refs/heads/master` or `refs/tags/v1.2.3`.
        commit: The full commit, 40 hex digits.
        latest: When a stable version also becomes `latest`.

    Returns:
        The plan: `sha-<7>` first, then the version or branch, `latest` last.

    Raises:
        RefError: The ref or the commit cannot be published.
    """
    parsed = parse_ref(ref)
    full_commit = parse_commit(commit)
    sha_tag = PlannedTag(name=f"sha-{short_sha(full_commit)}", kind=TagKind.SHA)
    return TagPlan(
        ref=ref,
        commit=full_commit,
        tags=(sha_tag, *_tags_of(parsed, latest)),
        version=parsed.version if isinstance(parsed, VersionRef) else None,
        latest=latest,
    )


def plan_dirty(ref: str, commit: str, content: str) -> TagPlan:
    """Plan the one tag of a working tree that differs from its commit.

    Args:
        ref: The full ref that is checked out.
        commit: The full commit that the tree started from, 40 hex digits.
        content: A digest or any other text that identifies the content; eight digits of its SHA-256 are in the tag.

    Raises:
        RefError: The ref or the commit cannot be published.
    """
    parse_ref(ref)
    full_commit = parse_commit(commit)
    name = f"sha-{short_sha(full_commit)}-dirty-{_hash(content)}"
    return TagPlan(ref=ref, commit=full_commit, tags=(PlannedTag(name=name, kind=TagKind.DIRTY),))


def branch_tag(branch: str) -> str:
    """Return the tag of a branch.

    Two branches share a tag only if their names differ in nothing but characters that a tag cannot have (each run of
    them becomes one `-`), and `-` and `.` at the beginning.

    Args:
        branch: The branch's short name; any text that is not empty.
    """
    mapped = _OUTSIDE_GRAMMAR.sub("-", branch).lstrip("-.")
    if mapped and len(mapped) <= _LONGEST_TAG and _ANOTHER_KIND.fullmatch(mapped) is None:
        return mapped
    suffix = f"-{_hash(branch)}"
    return f"branch-{mapped}"[: _LONGEST_TAG - len(suffix)] + suffix


def version_tag(version: Version) -> str:
    """Return the tag of a version, where `_` replaces `+`, which a tag cannot have."""
    return str(version).replace("+", "_")


def version_of_tag(tag: str) -> Version | None:
    """Read an image's tag as a version; return None if it is of another kind."""
    return parse_version(tag.replace("_", "+", 1))


def highest_stable(tags: list[str]) -> Version | None:
    """Return the highest stable version among an image's tags, or None if there is none."""
    versions = (version_of_tag(tag) for tag in tags)
    return max((version for version in versions if version is not None and version.is_stable), default=None)


def _tags_of(parsed: PublishableRef, latest: LatestPolicy) -> tuple[PlannedTag, ...]:
    match parsed:
        case BranchRef(name=name):
            return (PlannedTag(name=branch_tag(name), kind=TagKind.BRANCH),)
        case VersionRef(version=version):
            tag = version_tag(version)
            if TAG.fullmatch(tag) is None:
                msg = f"The version {quoted(str(version))} does not fit in the 128 characters of an image tag."
                raise RefError(msg, hint="Tag the commit with a shorter version.")
            release = PlannedTag(name=tag, kind=TagKind.VERSION)
            if version.is_stable and latest is not LatestPolicy.NEVER:
                return (release, PlannedTag(name=LATEST, kind=TagKind.LATEST))
            return (release,)
        case _:
            assert_never(parsed)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
