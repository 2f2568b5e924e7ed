"""The order of publishing: obtain the image, then promote it: write the tags, and check that all point to one digest.

The image is the one that the commit has already, that of another commit with the same build inputs, or built and
uploaded, in this order.

The order is what makes it safe: tags that are written once come first, then moving tags, `latest` last. If a run fails
halfway, what it wrote stays, and running it again finishes the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.progress import Steps
from pipeline.promotion import History, Promotion
from pipeline.registry.client import Registry
from pipeline.registry.manifests import Manifest
from pipeline.relabelling import find_candidate, relabel
from pipeline.rules.errors import BuildError, RegistryError
from pipeline.rules.guards import listed_platforms
from pipeline.rules.planning import RunPlan
from pipeline.rules.report import ImageOutcome, RelabelledFrom, TagReport
from pipeline.rules.tagging import INCOMING


class ImageBuilder(Protocol):
    """Builds the image of a plan and uploads its layers."""

    async def content(self) -> str:
        """Return a digest of the source as it is."""

    async def build(self, plan: RunPlan) -> None:
        """Build the image completely, but do not upload it."""

    async def upload(self, plan: RunPlan, reference: str) -> str:
        """Upload the image under a reference by tag and return its manifest's digest.

        Raises:
            TransientError: The upload failed and is worth another attempt.
        """


@dataclass(frozen=True, slots=True)
class Published:
    """The result of publishing.

    Attributes:
        digest: The manifest's digest.
        tags: What was done with each tag, in the order of the plan.
        outcome: How the run came to the image.
        relabelled_from: The image that it relabelled, if it did.
        platform: The image's platform.
    """

    digest: str
    tags: tuple[TagReport, ...]
    outcome: ImageOutcome
    platform: str
    relabelled_from: RelabelledFrom | None = None


async def publish(
    plan: RunPlan, registry: Registry, builder: ImageBuilder, history: History, steps: Steps
) -> Published:
    """Publish an image under all tags of a plan.

    Args:
        plan: What to publish, and where.
        registry: The HTTP API of the image's repository.
        builder: Builds and uploads; not used if the registry has the commit's image, or one with its build inputs.
        history: Says which of two commits is later.
        steps: Times the steps.

    Raises:
        CollisionError: The commit's tag points to an image of another commit, or of this one from other build inputs.
        SourceMismatchError: The image must be built, and a different commit is checked out.
        WriteOnceError: The version's tag already points to another image.
        AuthError: The registry denied access, or requires credentials.
        RegistryError: The registry failed, or the tags do not point to one digest in the end.
        BuildError: The image could not be built.
    """
    promotion = Promotion(plan, registry, history, steps.progress)
    obtained = await _obtain(plan, registry, builder, promotion, steps)
    if obtained.outcome is ImageOutcome.REUSED:
        steps.progress.notice(f"The image of commit {plan.commit.short_sha} is already in the registry.")
    with steps.step("write the tags"):
        manifest = await promotion.promote(obtained.manifest)
    is_own = manifest.digest == obtained.manifest.digest
    return Published(
        manifest.digest,
        promotion.reports(manifest),
        obtained.outcome if is_own else ImageOutcome.REUSED,
        str(plan.recipe.platforms),
        obtained.source if is_own else None,
    )


@dataclass(frozen=True, slots=True)
class _Obtained:
    """The image of a run before it is promoted, and how the run came to it."""

    manifest: Manifest
    outcome: ImageOutcome
    source: RelabelledFrom | None = None


async def _obtain(
    plan: RunPlan, registry: Registry, builder: ImageBuilder, promotion: Promotion, steps: Steps
) -> _Obtained:
    with steps.step("check the registry"):
        await registry.check_access()
        existing = await promotion.existing_image()
        candidate = await find_candidate(plan, registry, steps.progress) if existing is None else None
    if candidate is not None and candidate.commit == plan.commit.sha:
        existing = candidate.manifest  # whose own tag is missing
    if existing is not None:
        return _Obtained(existing, ImageOutcome.REUSED)
    if candidate is not None:
        with steps.step("relabel the image"):
            made = await relabel(plan, candidate, registry, steps.progress)
        if made is not None:
            return _Obtained(made, ImageOutcome.RELABELLED, candidate.source(plan.image))
    plan.check_buildable()
    with steps.step("build the image"):
        await builder.build(plan)
    existing = await promotion.image_of(plan.tags.primary)  # another run may have published it since
    if existing is not None:
        return _Obtained(existing, ImageOutcome.REUSED)
    with steps.step("upload the image"):
        return _Obtained(await _uploaded(plan, registry, builder), ImageOutcome.BUILT)


async def _uploaded(plan: RunPlan, registry: Registry, builder: ImageBuilder) -> Manifest:
    """Upload the image under the tag that promises nothing, and read its manifest back by its digest."""
    reference = registry.image.tagged(INCOMING)
    digest = await registry.retries.transfer(reference, lambda: builder.upload(plan, reference))
    manifest = await registry.manifest(digest)
    if manifest is None:
        msg = f"{registry.image.at(digest)} was uploaded, but is not in the registry."
        raise RegistryError(msg, hint="Run this again.")
    wanted = plan.recipe.platforms
    found = list((manifest.variants() or {}).values())
    if len(wanted.each) > 1 and not wanted.match(found):  # of a single image, the builder has checked that
        what = f"an index for {listed_platforms(found)}" if found else "a single image"
        msg = f"{registry.image.at(manifest.digest)} was uploaded as {what}, not as an index for {wanted}."
        raise BuildError(msg, hint="Report this with the version of the engine; build one platform meanwhile.")
    return manifest
