"""One run of the pipeline on the host: what each command does with its settings.

The engine is opened only if something must be built or run: if the image is already in the registry, a run is a few
requests to it and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from ci.local.engine_session import Dockerfile, EngineSession, RunProgress, engine_session
from ci.local.git_checkout import HostHistory
from ci.local.host_engine import HostEngine
from ci.local.registry_login import docker_credentials
from ci.local.run_settings import RunSettings
from ci.system.secret_source import SecretSource, SecretSourceError
from pipeline.progress import Steps
from pipeline.registry.credentials import Credentials
from pipeline.rules.errors import UsageError
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.report import BuildReport, PlanReport
from pipeline.rules.runtime_checks import RuntimeChecks, VerifiedImage
from pipeline.rules.text import quoted
from pipeline.run import RegistryAccess, plan_online, publish_run, published_image


async def preview_run(settings: RunSettings, plan: RunPlan, progress: RunProgress) -> PlanReport:
    """Return what publishing would do with each tag; see `pipeline.run.plan_online`."""
    credentials = await settings.given_credentials(plan.image)
    credentials = credentials or await docker_credentials(plan.image, progress.notice)
    access = RegistryAccess(credentials, timeout=settings.timeout)
    return await plan_online(plan, access, HostHistory(settings.folder), progress)


async def prepare_run(settings: RunSettings, *, builds: bool = True) -> Run:
    """Prepare all that a run needs before the engine.

    Args:
        settings: The settings of the run.
        builds: Whether the run may build, and so needs a source.

    Raises:
        UsageError: The source directory or the Dockerfile does not exist, or the request is not valid.
    """
    host = await settings.checkout()
    plan = plan_run(settings.request, host.checkout)
    source = host.top / settings.request.source
    if builds and plan.problem is not None:
        raise plan.problem
    secrets = {name: await _secret(name, place) for name, place in settings.build_secrets.items()} if builds else {}
    return Run(settings, plan, source, await settings.given_credentials(plan.image), secrets)


async def _secret(name: str, place: SecretSource) -> SecretStr:
    try:
        return await place.read()
    except SecretSourceError as error:
        msg = f"Build secret {quoted(name)}: {error.message}"
        raise UsageError(msg, hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class Run:
    """A prepared run.

    Attributes:
        settings: The command's options.
        plan: What the run does.
        source: The directory to build.
        credentials: For the registry, or None if only Docker's configuration may have some.
        secrets: The build secrets by their ids.
    """

    settings: RunSettings
    plan: RunPlan
    source: Path
    credentials: Credentials | None
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)

    @property
    def dockerfile(self) -> Dockerfile:
        """The Dockerfile, with the arguments that it is built with."""
        return Dockerfile(self.source / self.plan.recipe.dockerfile, dict(self.plan.recipe.build_args))

    async def publish(self, progress: RunProgress, session: EngineSession) -> BuildReport:
        """Build and publish.

        Args:
            progress: Shows what happens.
            session: The session with an engine, which other runs may share.

        Raises:
            PipelineError: One of its subclasses, by what went wrong.
        """
        credentials = await self._signed_in(progress)
        engine = self._in_session(session, credentials)
        access = RegistryAccess(credentials, timeout=self.settings.timeout)
        return await publish_run(self.plan, engine, access, HostHistory(self.settings.folder), progress)

    async def build(self, progress: RunProgress, output: Path | None) -> None:
        """Build without publishing, and write the image to a file if one is given, as an OCI archive.

        Raises:
            UsageError: The output path is a directory.
            BuildError: The image could not be built.
        """
        if output is not None and output.is_dir():
            msg = f"{output} is a directory."
            raise UsageError(msg, hint="Give --output the path of the file to write, such as image.tar.")
        async with self._built(progress) as engine:
            if output is not None:
                await (await engine.open()).export(self.plan, output)

    async def run_inside(self, progress: RunProgress, command: Sequence[str]) -> str | None:
        """Build the image and run a command in it, or open a shell if there is no command.

        Returns:
            The command's output; None for a shell.

        Raises:
            UsageError: A shell needs a terminal, and there is none.
            BuildError: The image could not be built, or the command failed.
        """
        if not command and not sys.stdin.isatty():
            msg = "A shell needs a terminal, and standard input is not one."
            raise UsageError(msg, hint="Give a command instead: lr-ci shell -- env")
        async with self._built(progress) as engine:
            if command:
                return await engine.run_inside(self.plan, command)
            progress.close()
            await (await engine.open()).open_shell(self.plan)
            return None

    async def verify(self, progress: RunProgress, digest: str | None, checks: RuntimeChecks) -> VerifiedImage:
        """Pull the published image by digest and run it.

        Raises:
            UsageError: The digest is not valid, or the commit is not published.
            RegistryError: The image could not be pulled.
            VerificationError: The image failed a check.
        """
        credentials = await self._signed_in(progress)
        access = RegistryAccess(credentials, timeout=self.settings.timeout)
        found = await published_image(self.plan, digest, access, progress)
        async with self._engine(progress, credentials) as engine:
            return await (await engine.open()).verify(self.plan.image, found, checks)

    async def _signed_in(self, progress: RunProgress) -> Credentials | None:
        """Return the credentials for the registry: those that were given, else those of Docker's configuration."""
        return self.credentials or await docker_credentials(self.plan.image, progress.notice)

    @asynccontextmanager
    async def _engine(self, progress: RunProgress, credentials: Credentials | None) -> AsyncIterator[HostEngine]:
        async with engine_session(self.settings.engine, [self.dockerfile], progress) as session:
            yield self._in_session(session, credentials)

    def _in_session(self, session: EngineSession, credentials: Credentials | None) -> HostEngine:
        return HostEngine(
            session=session,
            source=self.source,
            source_path=self.settings.request.source,
            recipe=self.plan.recipe,
            secrets=self.secrets,
            image=self.plan.image,
            credentials=credentials,
        )

    @asynccontextmanager
    async def _built(self, progress: RunProgress) -> AsyncIterator[HostEngine]:
        async with self._engine(progress, self.credentials) as engine:
            with Steps(progress).step("build the image"):
                await engine.build(self.plan)
            yield engine
