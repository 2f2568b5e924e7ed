"""One run from end to end: a plan and a source become a published image and its report."""

from __future__ import annotations

from dataclasses import dataclass

import dagger
from dagger import dag
from pydantic import SecretStr

from pipeline.building import DaggerBuilder, Login, Source
from pipeline.credentials import Credentials
from pipeline.engine_errors import build_error
from pipeline.planning import RunPlan
from pipeline.progress import Progress, Steps
from pipeline.publishing import publish
from pipeline.registry import open_registry
from pipeline.report import BuildReport


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How a run reaches its registry.

    Attributes:
        login: User and secret, or None for a registry that asks for none.
        service: The registry as a service that the engine pushes to and pulls from, where it needs one.
        api_url: Where this process reaches the registry's HTTP API, where that is not the registry's own address.
    """

    login: Login | None = None
    service: dagger.Service | None = None
    api_url: str | None = None

    async def credentials(self) -> Credentials | None:
        """Return the login in the form that the HTTP client takes."""
        if self.login is None:
            return None
        password = await self.login.secret.plaintext()
        return Credentials(username=self.login.username, password=SecretStr(password.strip()))


async def settle_dirty_tree(plan: RunPlan, source: Source, *, allow_dirty: bool) -> RunPlan:
    """Return the plan for the tree as it is: unchanged where it is clean, with a tag of its own where it is not.

    Raises:
        DirtyTreeError: The tree is not what the commit says, and that is not allowed.
    """
    if not plan.dirty:
        return plan
    content = await source.directory.digest() if allow_dirty else ""
    return plan.for_dirty_tree(content, allowed=allow_dirty)


async def run_publish(
    plan: RunPlan,
    source: Source,
    access: RegistryAccess,
    progress: Progress,
    *,
    allow_dirty: bool = False,
) -> BuildReport:
    """Build and publish, and say what was done.

    Args:
        plan: What to publish, and where.
        source: What to build.
        access: How to reach the registry.
        progress: Is told what happens.
        allow_dirty: Whether a tree that no commit holds may be published, under a tag of its own alone.

    Raises:
        PipelineError: One of its subclasses, by what went wrong; see `pipeline.errors`.
    """
    steps = Steps(progress)
    for notice in plan.notices:
        progress.notice(notice)
    plan = await settle_dirty_tree(plan.for_publishing(), source, allow_dirty=allow_dirty)
    platform = source.platform or await default_platform()
    builder = DaggerBuilder(plan, source, access.login, access.service)
    async with open_registry(plan.image, await access.credentials(), base_url=access.api_url) as registry:
        published = await publish(plan, registry, builder, steps, platform=platform)
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
        platform=platform,
        steps=steps.finished,
    )


async def default_platform() -> str:
    """Ask the engine what it builds for by itself, such as `linux/amd64`.

    Raises:
        EngineError: It does not answer.
    """
    try:
        return await dag.default_platform()
    except dagger.DaggerError as error:
        raise build_error(error, "the image") from error
