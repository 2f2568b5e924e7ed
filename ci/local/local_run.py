"""One run of the pipeline on the host: its settings, and what each command does with them.

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

from ci.local.engine_choice import EngineChoice
from ci.local.engine_session import Dockerfile, EngineSession, RunProgress, engine_session
from ci.local.git_checkout import HostCheckout, HostHistory, read_host_checkout
from ci.local.host_engine import HostEngine
from ci.local.registry_login import GITHUB_TOKEN, docker_credentials
from ci.system.secret_source import SecretSource, SecretSourceError
from pipeline.progress import Steps
from pipeline.registry.credentials import Credentials
from pipeline.rules.checkout import Checkout
from pipeline.rules.errors import CheckoutError, UsageError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.report import BuildReport, PlanReport
from pipeline.rules.runtime_checks import RuntimeChecks, VerifiedImage
from pipeline.rules.shared_options import DEFAULT_REGISTRY, AccessOptions, RunRequest
from pipeline.rules.text import quoted
from pipeline.run import RegistryAccess, plan_online, publish_run, published_image


def current_directory() -> Path:
    """Return the current directory.

    Raises:
        UsageError: It was removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        msg = "The current directory no longer exists."
        raise UsageError(msg, hint="Change to a clone of the repository.") from error


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a run: the request to the pipeline, and the options that only `lr-ci` has.

    Attributes:
        request: The request to the pipeline.
        folder: Where the command was started.
        username: The user at the registry; the image's owner if None.
        token: Where the token is; if None, `GITHUB_TOKEN` for GHCR if that is set, then Docker's configuration.
        timeout: Seconds that one operation at the registry may take with its retries.
        build_secrets: Where the build secrets are, by their ids.
        engine: Which engine to use.
    """

    request: RunRequest
    folder: Path = field(default_factory=current_directory)
    username: str | None = None
    token: SecretSource | None = None
    timeout: float = AccessOptions.timeout
    build_secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    engine: EngineChoice = EngineChoice.AUTO

    async def plan(self) -> RunPlan:
        """Plan the run, without an engine, a network or credentials.

        A checkout is not needed if the request has both ref and commit.

        Raises:
            CheckoutError: Git could not read what is checked out.
            RefError: The ref or the commit cannot be published.
            ImageNameError: The registry, owner or name is not valid.
        """
        checkout: Checkout | None = None
        try:
            checkout = (await self._read_checkout()).checkout
        except CheckoutError:
            if self.request.ref is None or self.request.sha is None:
                raise
        return plan_run(self.request, checkout)

    async def plan_online(self, plan: RunPlan, progress: RunProgress) -> PlanReport:
        """Return what publishing would do with each tag; see `pipeline.run.plan_online`."""
        credentials = await self._credentials(plan.image) or await docker_credentials(plan.image, progress.notice)
        access = RegistryAccess(credentials, timeout=self.timeout)
        return await plan_online(plan, access, HostHistory(self.folder), progress)

    async def prepare(self, *, builds: bool = True) -> Run:
        """Prepare all that a run needs before the engine.

        Args:
            builds: Whether the run may build, and so needs a source.

        Raises:
            UsageError: The source directory or the Dockerfile does not exist, or the request is not valid.
        """
        host = await self._read_checkout()
        plan = plan_run(self.request, host.checkout)
        source = host.top / self.request.source
        if builds and plan.problem is not None:
            raise plan.problem
        secrets = {name: await _secret(name, place) for name, place in self.build_secrets.items()} if builds else {}
        return Run(self, plan, source, await self._credentials(plan.image), secrets)

    async def _read_checkout(self) -> HostCheckout:
        request = self.request
        return await read_host_checkout(self.folder, request.source, request.sha, request.ref, request.dockerfile)

    async def _credentials(self, image: ImageName) -> Credentials | None:
        token = self.token
        if token is None and image.registry == DEFAULT_REGISTRY and GITHUB_TOKEN.is_set:
            token = GITHUB_TOKEN
        if token is None:
            return None
        try:
            return Credentials(username=self.username or image.owner, password=await token.read_token())
        except SecretSourceError as error:
            raise UsageError(error.message, hint=error.hint) from None


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
