"""One run from end to end: a plan and a builder become a published image and its report."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from pipeline.preview import preview
from pipeline.progress import Progress, Steps
from pipeline.promotion import History
from pipeline.publishing import ImageBuilder, publish
from pipeline.registry.authentication import Access
from pipeline.registry.client import Registry, open_registry
from pipeline.registry.credentials import Credentials
from pipeline.registry.manifests import ImageProperties
from pipeline.registry.retry import RetryPolicy
from pipeline.rules.errors import NotPublishedError
from pipeline.rules.image_name import ImageName, parse_digest
from pipeline.rules.planning import RunPlan
from pipeline.rules.report import BuildReport, ImageOutcome, PlanReport
from pipeline.rules.shared_options import AccessOptions


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How this process reaches the registry's HTTP API.

    Attributes:
        credentials: User and password or token, or None for anonymous access.
        service_url: The API's address, if the registry is a Dagger service.
        timeout: Seconds that one operation may take with its retries.
    """

    credentials: Credentials | None = None
    service_url: str | None = None
    timeout: float = AccessOptions.timeout

    def open(
        self, image: ImageName, progress: Progress, access: Access = Access.PUSH
    ) -> AbstractAsyncContextManager[Registry]:
        """Open the API of an image's repository; see `open_registry`."""
        retries = RetryPolicy(self.timeout, progress.notice)
        return open_registry(image, self.credentials, access=access, service_url=self.service_url, retries=retries)


async def publish_run(
    plan: RunPlan, builder: ImageBuilder, access: RegistryAccess, history: History, progress: Progress
) -> BuildReport:
    """Do a whole run: check the plan, build, publish and report.

    Args:
        plan: What to publish, and where.
        builder: Builds and uploads; not used if the image is already in the registry.
        access: How to reach the registry.
        history: Says which of two commits is later.
        progress: Shows what happens.

    Raises:
        PipelineError: One of its subclasses, by what went wrong; see `pipeline.rules.errors`.
    """
    for notice in plan.notices:
        progress.notice(notice)
    plan.check_publishable()
    if plan.dirty:
        plan = plan.for_dirty_tree(await builder.content())
    steps = Steps(progress)
    async with access.open(plan.image, progress) as registry:
        published = await publish(plan, registry, builder, history, steps)
    return BuildReport(
        image=str(plan.image),
        digest=published.digest,
        reference=plan.image.at(published.digest),
        primary=plan.image.tagged(plan.tags.primary.name),
        tags=published.tags,
        commit=plan.commit_report(),
        ref=plan.tags.ref,
        version=None if plan.tags.version is None else str(plan.tags.version),
        built=published.outcome is ImageOutcome.BUILT,
        outcome=published.outcome,
        relabelled_from=published.relabelled_from,
        platform=published.platform,
        steps=steps.finished,
    )


async def plan_online(plan: RunPlan, access: RegistryAccess, history: History, progress: Progress) -> PlanReport:
    """Return what would be built, and what publishing would do with each tag by what the registry has.

    Raises:
        ImageNameError: The image's name or owner is not known.
        AuthError: The registry denied access, or requires credentials.
        RegistryError: The registry failed.
    """
    if plan.unnamed is not None:
        raise plan.unnamed
    async with access.open(plan.image, progress, Access.PULL) as registry:
        seen = await preview(plan, registry, history, progress)
    report = plan.report()
    refused = dict.fromkeys(tag.reason for tag in seen.tags if tag.outcome == "refused" and tag.reason is not None)
    return report.model_copy(
        update={
            "online": seen.tags,
            "outcome": seen.outcome,
            "relabelled_from": seen.relabelled_from,
            "refusals": (*report.refusals, *refused),
            "latest_condition": None,
        }
    )


@dataclass(frozen=True, slots=True)
class PublishedImage:
    """An image in the registry.

    Attributes:
        digest: Its digest.
        images: The image, or the images of the index; empty if the registry does not have it.
    """

    digest: str
    images: tuple[ImageProperties, ...] = ()


async def published_image(
    plan: RunPlan, digest: str | None, access: RegistryAccess, progress: Progress
) -> PublishedImage:
    """Return a published image.

    Args:
        plan: The run that published it.
        digest: The digest if the caller knows it; None to read it from the commit's tag.
        access: How to reach the registry.
        progress: Shows what happens.

    Raises:
        ImageNameError: The image's name or owner is not known.
        UsageError: The given digest is not valid.
        NotPublishedError: The registry has no image of the commit.
        AuthError: The registry denied access, or requires credentials.
        RegistryError: The registry failed.
    """
    if plan.unnamed is not None:
        raise plan.unnamed
    image, tag = plan.image, plan.tags.primary.name
    given = None if digest is None else parse_digest(digest)
    async with access.open(image, progress, Access.PULL) as registry:
        manifest = await registry.manifest(given or tag)
        if manifest is not None:
            return PublishedImage(manifest.digest, await registry.images(manifest))
    if given is not None:
        return PublishedImage(given)  # the engine's error is about the pull, which is what fails
    msg = f"{image.tagged(tag)} is not in the registry."
    raise NotPublishedError(msg, hint="Publish it first with build-and-push, or check --ref and --sha.")
