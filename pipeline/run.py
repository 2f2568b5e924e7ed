"""One run from end to end: a plan and a builder become a published image and its report."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.progress import Progress, Steps
from pipeline.publishing import ImageBuilder, publish
from pipeline.registry.client import open_registry
from pipeline.registry.credentials import Access, Credentials
from pipeline.rules.errors import RegistryError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan
from pipeline.rules.report import BuildReport


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How this process reaches the registry's HTTP API.

    Attributes:
        credentials: User and password or token, or None for anonymous access.
        api_url: The API's address if it is not the registry's own: that of a Dagger service.
    """

    credentials: Credentials | None = None
    api_url: str | None = None


async def publish_run(plan: RunPlan, builder: ImageBuilder, access: RegistryAccess, progress: Progress) -> BuildReport:
    """Do a whole run: check the plan, build, publish, report.

    Args:
        plan: What to publish, and where.
        builder: Builds and uploads; not used if the image is in the registry already.
        access: How to reach the registry.
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
    async with open_registry(plan.image, access.credentials, base_url=access.api_url) as registry:
        published = await publish(plan, registry, builder, steps)
    return BuildReport(
        image=str(plan.image),
        digest=published.digest,
        reference=plan.image.at(published.digest),
        primary=plan.image.tagged(plan.tags.primary.name),
        tags=published.tags,
        commit=plan.commit_report(),
        ref=plan.tags.ref,
        version=None if plan.tags.version is None else str(plan.tags.version),
        built=published.built,
        platform=published.platform,
        steps=steps.finished,
    )


async def find_digest(image: ImageName, tag: str, access: RegistryAccess) -> str:
    """Return the digest of the image that a tag points to.

    Raises:
        RegistryError: There is no such tag, or the registry failed.
        AuthError: The registry requires other credentials.
    """
    async with open_registry(image, access.credentials, access=Access.PULL, base_url=access.api_url) as registry:
        digest = await registry.digest_of(tag)
    if digest is None:
        msg = f"{image.tagged(tag)} is not in the registry."
        raise RegistryError(msg, hint="Publish it first, with build-and-push.")
    return digest
