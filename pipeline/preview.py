"""What publishing would do with the image and each tag, by what the registry has now; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from pipeline.progress import Progress
from pipeline.promotion import History, Promotion
from pipeline.registry.client import Registry
from pipeline.registry.manifests import Manifest
from pipeline.relabelling import find_candidate
from pipeline.rules.errors import GuardError
from pipeline.rules.planning import RunPlan
from pipeline.rules.report import ImageOutcome, RelabelledFrom, TagForecast, TagOutcome
from pipeline.rules.tag_state import Adopt, Keep, Present, Put
from pipeline.rules.tagging import PlannedTag


@dataclass(frozen=True, slots=True)
class Preview:
    """What publishing would do.

    Attributes:
        tags: What it would do with each tag, in the order of writing.
        outcome: How it would come to the image; None if it would be refused.
        relabelled_from: The image that it would relabel.
    """

    tags: tuple[TagForecast, ...]
    outcome: ImageOutcome | None = None
    relabelled_from: RelabelledFrom | None = None


async def preview(plan: RunPlan, registry: Registry, history: History, progress: Progress) -> Preview:
    """Return what publishing would do.

    Args:
        plan: What would be published, and where.
        registry: The HTTP API of the image's repository.
        history: Says which of two commits is later.
        progress: Shows what the registry has.

    Raises:
        AuthError: The registry denied access, or requires credentials.
        RegistryError: The registry failed.
    """
    await registry.check_access()
    run = Promotion(plan, registry, history, progress)
    try:
        image = await run.existing_image()
    except GuardError as error:
        return Preview(tuple(_forecast(plan, tag, "refused", error.message) for tag in plan.tags.tags))
    other = await find_candidate(plan, registry, progress) if image is None else None
    if other is not None and other.commit == plan.commit.sha:
        image = other.manifest
    tags = tuple([await _forecast_of(plan, run, tag, image) for tag in plan.tags.tags])
    if image is not None:
        return Preview(tags, ImageOutcome.REUSED)
    if other is not None:
        return Preview(tags, ImageOutcome.RELABELLED, other.source(plan.image))
    return Preview(tags, ImageOutcome.BUILT)


async def _forecast_of(plan: RunPlan, run: Promotion, tag: PlannedTag, image: Manifest | None) -> TagForecast:
    try:
        state, decision = await run.decide(tag, image)
    except GuardError as error:  # another run has written it since
        return _forecast(plan, tag, "refused", error.message)
    match decision:
        case Present() | Adopt():
            return _forecast(plan, tag, TagOutcome.PRESENT)
        case Put():
            forecast = _forecast(plan, tag, TagOutcome.WRITTEN if state.digest is None else TagOutcome.MOVED)
        case Keep(reason=reason):
            forecast = _forecast(plan, tag, TagOutcome.KEPT, reason)
        case _:
            assert_never(decision)
    previous = {"previous_digest": state.digest, "previous_commit": await run.commit_of(state)}
    return forecast.model_copy(update=previous)


def _forecast(
    plan: RunPlan, tag: PlannedTag, outcome: TagOutcome | Literal["refused"], reason: str | None = None
) -> TagForecast:
    return TagForecast(
        name=tag.name, kind=tag.kind, reference=plan.image.tagged(tag.name), outcome=outcome, reason=reason
    )
