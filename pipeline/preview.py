"""What publishing would do with each tag, by what the registry has now; nothing is written."""

from __future__ import annotations

from pipeline.concurrency import each
from pipeline.progress import Progress
from pipeline.publishing import Publication
from pipeline.registry.client import Registry
from pipeline.rules.errors import GuardError, RegistryError
from pipeline.rules.labels import REVISION
from pipeline.rules.planning import RunPlan
from pipeline.rules.report import TagForecast, TagOutcome
from pipeline.rules.tagging import PlannedTag


async def preview(plan: RunPlan, registry: Registry, progress: Progress) -> tuple[TagForecast, ...]:
    """Return what publishing would do with each tag of a plan, in the order of writing.

    Args:
        plan: What would be published, and where.
        registry: The HTTP API of the image's repository.
        progress: Shows what the registry has.

    Raises:
        AuthError: The registry denied access, or requires credentials.
        RegistryError: The registry failed.
    """
    await registry.check_access()
    run = Publication(plan, registry, progress)
    try:
        image = await run.existing_image()
    except GuardError as error:
        return tuple(_forecast(plan, tag, None, error.message) for tag in plan.tags.tags)
    digest = None if image is None else image.digest
    found: dict[str, TagForecast] = {}

    async def preview_tag(tag: PlannedTag) -> None:
        previous = await registry.digest_of(tag.name)
        outcome: TagOutcome | None = None
        try:
            outcome, reason = await run.outcome_of(tag, previous, digest)
        except GuardError as error:
            reason = error.message
        other = None if outcome is TagOutcome.PRESENT else previous
        commit = None if other is None else await _commit_of(registry, other)
        found[tag.name] = _forecast(plan, tag, outcome, reason).model_copy(
            update={"previous_digest": other, "previous_commit": commit}
        )

    await each(plan.tags.tags, preview_tag)
    return tuple(found[tag.name] for tag in plan.tags.tags)


async def _commit_of(registry: Registry, digest: str) -> str | None:
    """Return the commit of an image, by its label; of an index, that of its first image. None if it is not known."""
    try:
        manifest = await registry.manifest(digest)
        images = () if manifest is None else await registry.images(manifest)
    except RegistryError:  # publishing moves the tag away from an image that is not valid
        return None
    return next((each.labels.get(REVISION) for each in images), None)


def _forecast(plan: RunPlan, tag: PlannedTag, outcome: TagOutcome | None, reason: str | None) -> TagForecast:
    return TagForecast(
        name=tag.name,
        kind=tag.kind,
        reference=plan.image.tagged(tag.name),
        outcome="refused" if outcome is None else outcome,
        reason=reason,
    )
