"""The one record of a run. Whatever a person or a machine reads of it is rendered from here.

Pure. The JSON Schema is in `docs/build-report.schema.json`; within one `schema_version` fields are only added.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.rules.tagging import TagKind


class TagOutcome(StrEnum):
    """What became of a tag."""

    WRITTEN = "written"
    """It was not there and is now."""
    MOVED = "moved"
    """It named another image before."""
    PRESENT = "present"
    """It named this image already; nothing was sent."""
    KEPT = "kept"
    """It was left where it is, for the reason given."""


class TagReport(BaseModel):
    """What became of one tag."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The tag alone, such as sha-9c68c4a.")
    kind: TagKind = Field(description="What the tag promises.")
    reference: str = Field(description="The whole reference by tag, as docker pull takes it.")
    outcome: TagOutcome = Field(description="What this run did with it.")
    previous_digest: str | None = Field(default=None, description="The image it named before, where it was another.")
    reason: str | None = Field(default=None, description="Why it was kept.")


class CommitReport(BaseModel):
    """The commit that the image is built from."""

    model_config = ConfigDict(frozen=True)

    sha: str = Field(description="All 40 digits.")
    short_sha: str = Field(description="The first seven digits.")
    message: str = Field(description="The whole message; empty where git does not hold the commit.")
    time: datetime | None = Field(description="When it was committed, in UTC.")
    url: str | None = Field(description="Its page on GitHub, where the origin is there.")


class StepReport(BaseModel):
    """How long one step of the run took."""

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float = Field(ge=0)


class BuildReport(BaseModel):
    """What a run did, whole."""

    model_config = ConfigDict(frozen=True, title="BuildReport")

    schema_version: Literal[1] = 1
    image: str = Field(description="The image without tag or digest, such as ghcr.io/linkradar/lr-backend.")
    digest: str = Field(description="The manifest's digest; every tag that was not kept names it.")
    reference: str = Field(description="image@digest, which never moves.")
    primary: str = Field(description="The whole reference by the tag of the commit, as docker pull takes it.")
    tags: tuple[TagReport, ...] = Field(description="In the order they were written.")
    commit: CommitReport
    ref: str = Field(description="The full git ref, such as refs/heads/master.")
    version: str | None = Field(description="The version, where the ref is a version tag.")
    built: bool = Field(description="False where the image of this commit was in the registry already.")
    platform: str = Field(description="Such as linux/amd64.")
    steps: tuple[StepReport, ...] = Field(description="What took how long, in the order it ended.")


class PlanReport(BaseModel):
    """What a run would build and tag."""

    model_config = ConfigDict(frozen=True, title="PlanReport")

    schema_version: Literal[1] = 1
    image: str = Field(description="The image without tag or digest.")
    primary: str = Field(description="The tag that the image is uploaded under; a tag alone, as in tags.")
    tags: tuple[str, ...] = Field(description="All tags, in the order of writing.")
    references: tuple[str, ...] = Field(description="The same as whole references.")
    commit: CommitReport
    ref: str
    version: str | None
    latest: str = Field(description="The policy for latest: auto, always or never; auto is decided when publishing.")
    dirty: tuple[str, ...] = Field(description="Paths that are not what the commit says; publishing refuses them.")
