"""The engine of a run on this machine: opened when it is first needed, closed with the run.

The Dagger SDK takes a second to import, so that waits for the same moment.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import secrets
import shlex
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ci.local.base_image_mirrors import prepare_base_images
from ci.local.engine_choice import EngineChoice, EngineKind, choose_engine, require_root
from pipeline.progress import Progress
from pipeline.registry.credentials import Credentials
from pipeline.rules.errors import BuildError, UsageError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan
from pipeline.rules.runtime_checks import Expectation, Verified
from pipeline.rules.text import last_lines

if TYPE_CHECKING:
    from ci.engine.events import Event
    from pipeline.engine.builder import DaggerBuilder, EngineAccess, Source

_HTTPS_PORT = 443


class RunProgress(Progress, Protocol):
    """A progress that also takes what the embedded engine tells."""

    def engine_event(self, event: Event) -> None:
        """Take one event of the embedded engine."""

    def close(self) -> None:
        """End a live display, so that something else can have the terminal."""


@dataclass(slots=True)
class HostEngine:
    """A session with an engine, for one run.

    Attributes:
        stack: Closes the session.
        choice: Which engine is asked for.
        source: The folder to build.
        dockerfile: The Dockerfile's path in it.
        platform: What to build for; the engine's own when None.
        image: The image, whose registry the engine must reach.
        credentials: For that registry, or None.
        progress: Is told what happens.
    """

    stack: AsyncExitStack
    choice: EngineChoice
    source: Path
    dockerfile: str
    platform: str | None
    image: ImageName
    credentials: Credentials | None
    progress: RunProgress
    _kind: EngineKind | None = None

    async def open(self) -> EngineKind:
        """Open the session, unless it is open, and return which engine answers.

        Raises:
            EngineError: No engine can be had, or it does not answer.
        """
        if self._kind is None:
            from ci.engine.store.storage import Mirror
            from ci.local.dagger_session import open_session

            kind, reason = await choose_engine(self.choice)
            self.progress.notice(f"Engine: {kind} ({reason}).")
            mirrors: list[Mirror] = []
            if kind is EngineKind.EMBEDDED:
                require_root()
                mirrors = await prepare_base_images(self.source / self.dockerfile, self.progress.notice)
            await self.stack.enter_async_context(open_session(kind, self.progress.engine_event, mirrors))
            self._kind = kind
        return self._kind

    async def content(self) -> str:
        """Return a digest of the source as it is."""
        from pipeline.engine.builder import content_digest

        await self.open()
        return await content_digest(self.as_source().directory)

    async def verify(self, image: ImageName, digest: str, expectation: Expectation) -> Verified:
        """Run an image; see `pipeline.engine.verification`."""
        from pipeline.engine.verification import verify_image

        kind = await self.open()
        return await verify_image(image, digest, self.access(kind), expectation)

    def as_source(self) -> Source:
        """Return the source as the engine takes it; the session is open."""
        import dagger
        from dagger import dag

        from pipeline.engine.builder import NOT_SOURCE, Source

        directory = dag.host().directory(str(self.source.absolute()), exclude=list(NOT_SOURCE))
        return Source(directory, self.dockerfile, None if self.platform is None else dagger.Platform(self.platform))

    def access(self, kind: EngineKind) -> EngineAccess:
        """Say how the engine reaches the registry; the session is open."""
        import dagger
        from dagger import dag

        from pipeline.engine.builder import EngineAccess, Login

        login, service = None, None
        if self.credentials is not None:
            secret = dag.set_secret("registry-token", self.credentials.password.get_secret_value())
            login = Login(self.credentials.username, secret)
        if kind is EngineKind.DAGGER and self.image.is_loopback:
            # The engine has a network of its own, where this machine's loopback is not.
            port = int(self.image.registry.rpartition(":")[2]) if ":" in self.image.registry else _HTTPS_PORT
            service = dag.host().service([dagger.PortForward(backend=port, frontend=port)])
        return EngineAccess(login, service)


@dataclass(slots=True)
class HostBuilder:
    """Builds and uploads by an engine that is opened for the first of it.

    Attributes:
        engine: The engine.
        plan: What the image is.
    """

    engine: HostEngine
    plan: RunPlan
    _builder: DaggerBuilder | None = None

    async def build(self) -> None:
        """Build the image.

        Raises:
            EngineError: No engine can be had.
            BuildError: The image could not be built.
        """
        await (await self._dagger()).build()

    async def upload(self, reference: str) -> str:
        """Upload the image and return its digest.

        Raises:
            AuthError: The registry does not take it from these credentials.
            RegistryError: The upload failed.
        """
        return await (await self._dagger()).upload(reference)

    async def export(self, path: Path) -> None:
        """Write the image as an OCI archive.

        Raises:
            BuildError: The archive could not be written.
        """
        import dagger

        container = await (await self._dagger()).container()
        try:
            await container.export(str(path.absolute()))
        except dagger.DaggerError as error:
            msg = f"The image could not be written to {path}: {last_lines(str(error))}"
            raise BuildError(msg) from error

    async def run_inside(self, command: list[str]) -> str | None:
        """Run a command in the image and return what it printed; open a shell where there is none.

        Raises:
            BuildError: The command failed.
            UsageError: There is no terminal for a shell.
        """
        import dagger

        container = await (await self._dagger()).container()
        try:
            if command:
                # A fresh variable, or an engine answers with what the same command printed another day.
                fresh = container.with_env_variable("LR_CI_RUN", secrets.token_hex(8))
                return await fresh.with_exec(command).stdout()
            self.engine.progress.close()
            await container.terminal().sync()
        except dagger.ExecError as error:
            output = last_lines(error.stderr) or last_lines(error.stdout) or "no output"
            msg = f"`{shlex.join(command)}` exited with {error.exit_code} in the image: {output}"
            raise BuildError(msg) from error
        except dagger.DaggerError as error:
            msg = f"There is no shell in the image to be had: {last_lines(str(error))}"
            raise UsageError(msg, hint="Give a command instead: lr-ci shell -- bin/rails --version") from error
        return None

    async def _dagger(self) -> DaggerBuilder:
        if self._builder is None:
            from pipeline.engine.builder import DaggerBuilder

            kind = await self.engine.open()
            self._builder = DaggerBuilder(self.plan, self.engine.as_source(), self.engine.access(kind))
        return self._builder
