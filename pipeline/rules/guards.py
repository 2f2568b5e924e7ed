"""The guards of promotion: whether an image that a tag already points to is this run's, and whether a tag may move.

Pure. The images are described by their labels, as the registry holds them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.rules.build_inputs import recorded_inputs
from pipeline.rules.errors import CollisionError, GuardError, WriteOnceError
from pipeline.rules.labels import CREATED, REVISION
from pipeline.rules.planning import RunPlan
from pipeline.rules.platforms import Platform
from pipeline.rules.refs import is_commit, parse_commit, short_sha
from pipeline.rules.tagging import PlannedTag, TagKind
from pipeline.rules.text import quoted


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """An image that a tag points to, or the images of an index.

    Attributes:
        digest: The digest of the image or index.
        labels: The labels of each image.
        platforms: The platforms of the images, as far as they are known.
    """

    digest: str
    labels: tuple[Mapping[str, str], ...]
    platforms: tuple[Platform, ...] = ()

    @property
    def revision(self) -> str | None:
        """The commit that all of its images are built from; None if that is not known."""
        return self._shared(REVISION)

    @property
    def created(self) -> datetime | None:
        """The time of that commit; None if that is not known."""
        try:
            time = datetime.fromisoformat(self._shared(CREATED) or "")
        except ValueError:
            return None
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)

    @property
    def records_inputs(self) -> bool:
        """Whether its labels say what it was built from; those of an older version of the pipeline do not."""
        try:
            return all(recorded_inputs(each) is not None for each in self.labels)
        except ValueError:
            return True

    def _shared(self, label: str) -> str | None:
        values = self.values(label)
        return next(iter(values)) if len(values) == 1 else None

    def values(self, label: str) -> frozenset[str | None]:
        """Return the values that a label has in its images; None for an image without it."""
        return frozenset(each.get(label) for each in self.labels)


@dataclass(frozen=True, slots=True)
class Difference:
    """Why an image is not the one that a run publishes, and what to do about it."""

    reason: str
    hint: str


def difference(plan: RunPlan, image: TaggedImage) -> Difference | None:
    """Compare an image with the one that a run publishes: the same commit, and the same build inputs.

    Of an image that does not record its inputs, only the platforms are compared.

    Args:
        plan: The run.
        image: An image in the registry.
    """
    revisions = image.values(REVISION)
    other = min((each for each in revisions if each not in {None, plan.commit.sha}), default=None, key=str)
    if other is not None:
        reason = f"the image of commit {quoted(other)}, not of {plan.commit.sha}"
        return Difference(
            reason, "Both commits start with the same seven digits: amend the newer one to change its name."
        )
    if image.revision is None:
        reason = f"but its commit is unknown: it has no label {REVISION}"
        return Difference(reason, "If it was pushed by hand, delete that tag in the registry and run this again.")
    wanted = plan.recipe.platforms
    if image.platforms and not wanted.match(image.platforms):
        reason = f"the image of this commit for {listed_platforms(image.platforms)}, not for {wanted}"
        return Difference(reason, "Publish other platforms under another --name.")
    try:
        recorded = [recorded_inputs(each) for each in image.labels]
    except ValueError as error:
        reason = f"the image of this commit, but its label {error} cannot be read"
        return Difference(reason, "Use the version of this pipeline that published it, or another --name.")
    for inputs in recorded:
        if inputs is not None and (different := plan.inputs.differences(inputs)):
            reason = f"the image of this commit from other build inputs; requested: {'; '.join(different)}"
            return Difference(reason, "Publish each of them under its own --name.")
    return None


def refusal(plan: RunPlan, tag: PlannedTag, image: TaggedImage, own: str | None) -> GuardError | None:
    """Return why a tag that is written once cannot be this run's; None if it names an image of its commit and inputs.

    Args:
        plan: The run.
        tag: A tag of the plan.
        image: The image that the tag points to.
        own: The digest of this run's image; None if there is none yet.
    """
    different = difference(plan, image)
    if different is None:
        return None
    mine = "" if own is None else f" This run's image is {own}."
    there = f"{plan.image.tagged(tag.name)} already points to {image.digest}, {different.reason}.{mine}"
    if tag.kind is TagKind.VERSION:
        hint = "A version is written only once: release the change under a new version."
        return WriteOnceError(there, hint=hint)
    return CollisionError(there, hint=different.hint)


def stays(plan: RunPlan, image: TaggedImage, *, descends: bool | None) -> str | None:
    """Return why a branch's tag stays where it is; None if it moves to this run's image.

    A commit that git does not hold is compared by its time: the tag stays if that is later than this commit's.

    Args:
        plan: The run.
        image: The image that the tag points to.
        descends: Whether that image's commit is a descendant of this run's; None if git cannot tell.
    """
    revision, created, time = image.revision, image.created, plan.commit.time
    if plan.force_move or revision is None or revision == plan.commit.sha or descends is False:
        return None
    there = f"it names the image of {short_sha(parse_commit(revision)) if is_commit(revision) else quoted(revision)}"
    if descends:
        return f"{there}, a later commit than {plan.commit.short_sha}; --force-move overrules"
    if created is None or time is None or created <= time:
        return None
    when = f"{created.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{there} of {when}, later than {plan.commit.short_sha}, and git does not hold it; --force-move overrules"


def listed_platforms(platforms: Collection[Platform]) -> str:
    """Return platforms in a fixed order, separated by commas."""
    return ",".join(sorted(map(str, platforms)))
