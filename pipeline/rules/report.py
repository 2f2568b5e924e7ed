"""The record of a run, from which everything that people and programs read of it is rendered.

Pure. The JSON Schema is in `docs/build-report.schema.json`; within one `schema_version`, fields are only added.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from pipeline.rules.tagging import TagKind


class TagOutcome(StrEnum):
    """What a run did with a tag."""

    WRITTEN = "written"
    """It did not exist before."""
    MOVED = "moved"
    """It pointed to another image before."""
    PRESENT = "present"
    """It already pointed to this image."""
    KEPT = "kept"
    """It was not moved, for the reason in the report."""


class TagReport(BaseModel):
    """What a run did with one tag."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The tag alone, such as sha-9c68c4a.")
    kind: TagKind = Field(description="What the tag promises.")
    reference: str = Field(description="The full reference by tag, as for docker pull.")
    outcome: TagOutcome = Field(description="What this run did with it.")
    previous_digest: str | None = Field(
        default=None, description="The image that it pointed to before, if that was another."
    )
    reason: str | None = Field(default=None, description="Why it was kept, or moved although it is written once.")


class CommitReport(BaseModel):
    """The commit that the image is built from."""

    model_config = ConfigDict(frozen=True)

    sha: str = Field(description="All 40 digits.")
    short_sha: str = Field(description="The first seven digits.")
    message: str = Field(description="The whole message; empty if git does not have the commit.")
    time: datetime | None = Field(description="When it was committed, in UTC.")
    url: str | None = Field(description="Its page on GitHub, if the origin is there.")


class StepReport(BaseModel):
    """How long one step of the run took."""

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float = Field(ge=0)


class ImageOutcome(StrEnum):
    """How a run came to its image."""

    BUILT = "built"
    """It built and uploaded it."""
    RELABELLED = "relabelled"
    """It gave this commit's labels to the image of another commit with the same build inputs."""
    REUSED = "reused"
    """The registry had it already: it is another run's."""


class RelabelledFrom(BaseModel):
    """The image of another commit that a run relabelled."""

    model_config = ConfigDict(frozen=True)

    reference: str = Field(description="The full reference by the tag that pointed to it.")
    digest: str = Field(description="The digest of its manifest.")
    commit: str | None = Field(description="Its commit, if its label says it.")


class BuildReport(BaseModel):
    """What a run did."""

    model_config = ConfigDict(frozen=True, title="BuildReport")

    schema_version: Literal[1] = 1
    image: str = Field(description="The image without tag or digest, such as ghcr.io/acme/api.")
    digest: str = Field(description="The manifest's digest, which every tag that was not kept points to.")
    reference: str = Field(description="image@digest, which never moves.")
    primary: str = Field(description="The full reference by the tag of the commit, as for docker pull.")
    tags: tuple[TagReport, ...] = Field(description="In the order of writing.")
    commit: CommitReport
    ref: str = Field(description="The full git ref, such as refs/heads/master.")
    version: str | None = Field(description="The version, if the ref is a version tag.")
    built: bool = Field(description="Whether this run built the image: true if outcome is built.")
    outcome: ImageOutcome = Field(description="How the run came to the image.")
    relabelled_from: RelabelledFrom | None = Field(
        default=None, description="The image that was relabelled, if the outcome is that."
    )
    platform: str = Field(description="Such as linux/amd64; several are separated by commas.")
    steps: tuple[StepReport, ...] = Field(description="How long each step took, in the order in which they ended.")

    @property
    def origin(self) -> str:
        """How the run came to the image, in words."""
        return image_origin(self.outcome, self.relabelled_from)


def image_origin(outcome: ImageOutcome, source: RelabelledFrom | None) -> str:
    """Return in words how a run comes to its image.

    Args:
        outcome: What it does.
        source: The image that it relabels, if it does.
    """
    match outcome:
        case ImageOutcome.BUILT:
            return "built and uploaded"
        case ImageOutcome.RELABELLED:
            commit = None if source is None else source.commit
            other = "another image" if commit is None else f"the image of commit {commit[:7]}"
            return f"relabelled, not built: {other} has the same build inputs"
        case ImageOutcome.REUSED:
            return "already in the registry, not built again"
        case _:
            assert_never(outcome)


class TagForecast(BaseModel):
    """What publishing would do with one tag, by what the registry has."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The tag alone.")
    kind: TagKind = Field(description="What the tag promises.")
    reference: str = Field(description="The full reference by tag.")
    outcome: TagOutcome | Literal["refused"] = Field(description="What publishing would do with it.")
    previous_digest: str | None = Field(default=None, description="The other image that it points to now.")
    previous_commit: str | None = Field(default=None, description="The commit of that image, if its label says it.")
    reason: str | None = Field(default=None, description="Why it would be kept or refused.")


class PlanReport(BaseModel):
    """What a run would build and tag."""

    model_config = ConfigDict(frozen=True, title="PlanReport")

    schema_version: Literal[1] = 1
    image: str = Field(description="The image without tag or digest.")
    primary: str = Field(description="The tag of the commit, without the image's name.")
    tags: tuple[str, ...] = Field(description="All tags, in the order of writing.")
    references: tuple[str, ...] = Field(description="The tags as full references.")
    commit: CommitReport
    ref: str
    version: str | None
    latest: str = Field(description="The policy for latest: auto, always or never; auto is decided on publishing.")
    dirty: tuple[str, ...] = Field(description="Paths in the source that differ from the commit.")
    refusals: tuple[str, ...] = Field(description="Why publishing would be refused; empty if nothing is known of that.")
    latest_condition: str | None = Field(description="When latest is written, if the registry decides that.")
    online: tuple[TagForecast, ...] | None = Field(
        default=None, description="What publishing would do with each tag, if the registry was asked."
    )
    outcome: ImageOutcome | None = Field(
        default=None, description="How publishing would come to the image, if the registry was asked."
    )
    relabelled_from: RelabelledFrom | None = Field(
        default=None, description="The image that would be relabelled, if the outcome is that."
    )
