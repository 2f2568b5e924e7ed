"""Values that many tests start from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.rules.checkout import Checkout, Commit
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.platforms import Platforms
from pipeline.rules.refs import CommitSha
from pipeline.rules.report import BuildReport, CommitReport, ImageOutcome, StepReport, TagOutcome, TagReport
from pipeline.rules.shared_options import DEFAULT_PLATFORMS, RunRequest
from pipeline.rules.tagging import LatestPolicy, TagKind

SHA = CommitSha("9c68c4a0b1d2e3f405162738495a6b7c8d9e0f1a")
TWIN_SHA = CommitSha("9c68c4affffffffffffffffffffffffffffffff0")
"""Another commit with the same first seven digits."""

OTHER_SHA = CommitSha("0123456789abcdef0123456789abcdef01234567")
TIME = datetime(2025, 11, 3, 14, 30, 5, tzinfo=UTC)
BRANCH = "refs/heads/master"
IMAGE = ImageName(registry="ghcr.io", repository="linkradar/lr-backend")
DIGEST = "sha256:" + "ab" * 32
OTHER_DIGEST = "sha256:" + "cd" * 32


@dataclass(frozen=True)
class Order:
    """Commits one after the other, the oldest first; git does not hold any other."""

    commits: tuple[str, ...] = ()

    async def descends(self, commit: CommitSha, ancestor: CommitSha) -> bool | None:
        if commit not in self.commits or ancestor not in self.commits:
            return None
        return self.commits.index(commit) > self.commits.index(ancestor)


def commit(sha: str = SHA) -> Commit:
    message = "Save links\n\nAnd find them again.\n"
    return Commit(sha=CommitSha(sha), message=message, time=TIME, source_tree="e" * 40)


def checkout(
    *,
    sha: str = SHA,
    ref: str | None = BRANCH,
    tags: tuple[str, ...] = (),
    origin: str | None = "https://github.com/linkradar/linkradar.git",
    dirty: tuple[str, ...] = (),
) -> Checkout:
    return Checkout(head=commit(sha), ref=ref, tags=tags, origin=origin, dirty=dirty)


def run_plan(
    host: str = "ghcr.io",
    ref: str = BRANCH,
    *,
    sha: str = SHA,
    latest: LatestPolicy = LatestPolicy.AUTO,
    platform: Platforms = DEFAULT_PLATFORMS,
    dirty: tuple[str, ...] = (),
    allow_dirty: bool = False,
    force_move: bool = False,
    no_reuse: bool = False,
) -> RunPlan:
    request = RunRequest(
        registry=host,
        name=IMAGE.name,
        ref=ref,
        latest=latest,
        platform=platform,
        allow_dirty=allow_dirty,
        force_move=force_move,
        no_reuse=no_reuse,
    )
    return plan_run(request, checkout(sha=sha, dirty=dirty))


def build_report() -> BuildReport:
    """Return a report that uses every field."""
    return BuildReport(
        image=str(IMAGE),
        digest=DIGEST,
        reference=IMAGE.at(DIGEST),
        primary=IMAGE.tagged("sha-9c68c4a"),
        tags=(
            _tag("sha-9c68c4a", TagKind.SHA, TagOutcome.PRESENT),
            _tag("v1.2.3", TagKind.VERSION, TagOutcome.WRITTEN),
            TagReport(
                name="latest",
                kind=TagKind.LATEST,
                reference=IMAGE.tagged("latest"),
                outcome=TagOutcome.KEPT,
                previous_digest=OTHER_DIGEST,
                reason="v2.0.0 is a higher release than v1.2.3",
            ),
        ),
        commit=CommitReport(
            sha=SHA,
            short_sha=SHA[:7],
            message=commit().message,
            time=TIME,
            url=f"https://github.com/linkradar/linkradar/commit/{SHA}",
        ),
        ref="refs/tags/v1.2.3",
        version="v1.2.3",
        built=False,
        outcome=ImageOutcome.REUSED,
        platform="linux/amd64",
        steps=(StepReport(name="check the registry", seconds=0.25),),
    )


def _tag(name: str, kind: TagKind, outcome: TagOutcome) -> TagReport:
    return TagReport(name=name, kind=kind, reference=IMAGE.tagged(name), outcome=outcome)
