"""One run from end to end: a plan and a builder become a published image and its report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pipeline.progress import Progress, Steps
from pipeline.publishing import ImageBuilder, Target, publish
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
        credentials: User and password or token, or None for a registry that asks for none.
        api_url: Where the API is reached, where that is not the registry's own address: a Dagger service.
    """

    credentials: Credentials | None = None
    api_url: str | None = None


async def settled_plan(plan: RunPlan, content: Callable[[], Awaitable[str]], *, allow_dirty: bool) -> RunPlan:
    """Return the plan for the tree as it is: unchanged where it is clean, with a tag of its own where it is not.

    Args:
        plan: What would be published of a clean tree.
        content: Names what is in the source; asked only where that makes a tag.
        allow_dirty: What the caller said of dirty trees.

    Raises:
        DirtyTreeError: The tree is not what the commit says, and that is not allowed.
    """
    if not plan.dirty:
        return plan
    return plan.for_dirty_tree(await content() if allow_dirty else "", allowed=allow_dirty)


async def run_publish(
    plan: RunPlan,
    builder: ImageBuilder,
    access: RegistryAccess,
    progress: Progress,
    *,
    target: Target,
) -> BuildReport:
    """Build and publish, and say what was done.

    Args:
        plan: What to publish, and where; `RunPlan.for_publishing` and `for_dirty_tree` have passed it.
        builder: Builds and uploads; not asked for anything where the image is in the registry already.
        access: How to reach the registry.
        progress: Is told what happens.
        target: What the image is for.

    Raises:
        PipelineError: One of its subclasses, by what went wrong; see `pipeline.rules.errors`.
    """
    steps = Steps(progress)
    async with open_registry(plan.image, access.credentials, base_url=access.api_url) as registry:
        published = await publish(plan, registry, builder, steps, target=target)
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
    """Ask the registry which image a tag names.

    Raises:
        RegistryError: There is no such tag, or the registry failed.
        AuthError: The registry does not answer these credentials.
    """
    async with open_registry(image, access.credentials, access=Access.PULL, base_url=access.api_url) as registry:
        digest = await registry.digest_of(tag)
    if digest is None:
        msg = f"{image.tagged(tag)} is not in the registry."
        raise RegistryError(msg, hint="Publish it first, with build-and-push.")
    return digest
