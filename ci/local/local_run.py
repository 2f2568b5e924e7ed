"""One run of the pipeline from this machine: what is checked out here, and what of it is asked for.

The engine is opened only when something must be built or run: where the image is in the registry already, a run is a
few requests to it and nothing else.
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ci.local.engine_choice import EngineChoice
from ci.local.git_checkout import read_host_checkout
from ci.local.host_engine import HostBuilder, HostEngine, RunProgress
from ci.system.secret_source import SecretKind, SecretSource, SecretSourceError
from pipeline.progress import Steps
from pipeline.publishing import Target
from pipeline.registry.credentials import Credentials
from pipeline.rules.checkout import Checkout
from pipeline.rules.errors import CheckoutError, UsageError
from pipeline.rules.image_name import DIGEST
from pipeline.rules.planning import DEFAULT_REGISTRY, RunPlan, RunRequest, plan_run
from pipeline.rules.platforms import host_platform
from pipeline.rules.report import BuildReport
from pipeline.rules.runtime_checks import Expectation, Verified
from pipeline.rules.text import quoted
from pipeline.run import RegistryAccess, find_digest, run_publish, settled_plan

_GITHUB_TOKEN = SecretSource(kind=SecretKind.ENV, place="GITHUB_TOKEN")
_DEFAULT_SOURCE = "backend"


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        msg = "The current folder is not there any more."
        raise UsageError(msg, hint="Change to a clone of the repository.") from error


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a command was given.

    Attributes:
        request: What the pipeline itself is asked for.
        folder: Where the command was started.
        source: The folder to build; `backend` at the top of the checkout when None.
        dockerfile: The Dockerfile's path in it.
        platform: What to build for; this machine's own when None.
        username: The user at the registry; the image's owner when None.
        token: Where the token is; `GITHUB_TOKEN` for GHCR when None and that is set.
        engine: Which engine to use.
    """

    request: RunRequest
    folder: Path = field(default_factory=_current_folder)
    source: Path | None = None
    dockerfile: str = "Dockerfile"
    platform: str | None = None
    username: str | None = None
    token: SecretSource | None = None
    engine: EngineChoice = EngineChoice.AUTO

    async def plan(self) -> RunPlan:
        """Decide what a run does, without an engine, a network or credentials.

        A checkout is not needed where the ref and the commit are given.

        Raises:
            CheckoutError: Git cannot say what is checked out.
            RefError: The ref or the commit cannot be published.
            ImageNameError: The registry, owner or name is not valid.
        """
        checkout: Checkout | None = None
        try:
            checkout = (await read_host_checkout(self.folder, self.request.sha, self.request.ref)).checkout
        except CheckoutError:
            if self.request.ref is None or self.request.sha is None:
                raise
        return plan_run(self.request, checkout)

    async def prepare(self, *, builds: bool = True) -> Run:
        """Make everything ready that a run needs before the engine.

        Args:
            builds: Whether the run may build, and so needs a source.

        Raises:
            UsageError: The source folder or the Dockerfile is not there, or git or the request cannot be meant.
        """
        host = await read_host_checkout(self.folder, self.request.sha, self.request.ref)
        plan = plan_run(self.request, host.checkout)
        source = (host.top / _DEFAULT_SOURCE) if self.source is None else self.folder / self.source
        if builds and not (source / self.dockerfile).is_file():
            missing = f"There is no folder {source}." if not source.is_dir() else None
            msg = missing or f"There is no {quoted(self.dockerfile)} in {source}."
            raise UsageError(msg, hint="Check --source, and --dockerfile, which is a path inside it.")
        return Run(self, plan, source, await self._credentials(plan))

    async def _credentials(self, plan: RunPlan) -> Credentials | None:
        token = self.token
        if token is None and plan.image.registry == DEFAULT_REGISTRY and _GITHUB_TOKEN.is_set:
            token = _GITHUB_TOKEN
        if token is None:
            return None
        username = self.username or plan.image.owner
        try:
            return Credentials(username=username, password=await token.read_token())
        except SecretSourceError as error:
            raise UsageError(error.message, hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is ready: its plan, its source and its credentials.

    Attributes:
        settings: What the command was given.
        plan: What is done.
        source: The folder to build.
        credentials: For the registry, or None.
    """

    settings: RunSettings
    plan: RunPlan
    source: Path
    credentials: Credentials | None

    async def publish(self, progress: RunProgress) -> BuildReport:
        """Build and publish.

        Raises:
            PipelineError: One of its subclasses, by what went wrong.
        """
        for notice in self.plan.notices:
            progress.notice(notice)
        async with AsyncExitStack() as stack:
            engine = self._engine(stack, progress)
            allow_dirty = self.settings.request.allow_dirty
            plan = await settled_plan(self.plan.for_publishing(), engine.content, allow_dirty=allow_dirty)
            asked_for = self.settings.platform
            target = Target(asked_for or str(host_platform()), asked_for=asked_for is not None)
            access = RegistryAccess(self.credentials)
            return await run_publish(plan, HostBuilder(engine, plan), access, progress, target=target)

    async def build(self, progress: RunProgress, output: Path | None) -> None:
        """Build without publishing, and write the image as an OCI archive where one is asked for.

        Raises:
            UsageError: The archive cannot be a file there.
            BuildError: The image could not be built.
        """
        if output is not None and output.is_dir():
            msg = f"{output} is a folder."
            raise UsageError(msg, hint="Give --output the path of the file to write, such as image.tar.")
        async with AsyncExitStack() as stack:
            builder = HostBuilder(self._engine(stack, progress), self.plan)
            with Steps(progress).step("build the image"):
                await builder.build()
            if output is not None:
                await builder.export(output)

    async def run_inside(self, progress: RunProgress, command: list[str]) -> str | None:
        """Run a command in the built image and return what it printed; open a shell where there is no command.

        Raises:
            BuildError: The image could not be built, or the command failed in it.
        """
        if not command and not sys.stdin.isatty():
            msg = "A shell needs a terminal, and there is none here."
            raise UsageError(msg, hint="Give a command instead: lr-ci shell -- bin/rails --version")
        async with AsyncExitStack() as stack:
            builder = HostBuilder(self._engine(stack, progress), self.plan)
            with Steps(progress).step("build the image"):
                await builder.build()
            return await builder.run_inside(command)

    async def verify(self, progress: RunProgress, digest: str | None, expectation: Expectation) -> Verified:
        """Pull the published image by digest and run it.

        Raises:
            RegistryError: It is not there, or cannot be pulled.
            VerificationError: It does not do what it must.
        """
        wanted = digest
        if wanted is None:
            tag = self.plan.tags.primary.name
            wanted = await find_digest(self.plan.image, tag, RegistryAccess(self.credentials))
        elif DIGEST.fullmatch(wanted) is None:
            msg = f"{quoted(wanted)} is not a digest."
            raise UsageError(msg, hint="Give sha256: and 64 hex digits, as build-and-push prints it.")
        async with AsyncExitStack() as stack:
            return await self._engine(stack, progress).verify(self.plan.image, wanted, expectation)

    def _engine(self, stack: AsyncExitStack, progress: RunProgress) -> HostEngine:
        return HostEngine(
            stack=stack,
            choice=self.settings.engine,
            source=self.source,
            dockerfile=self.settings.dockerfile,
            platform=self.settings.platform,
            image=self.plan.image,
            credentials=self.credentials,
            progress=progress,
        )
