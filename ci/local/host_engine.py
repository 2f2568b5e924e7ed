"""The engine of a run on the host: opened when it is first needed, closed with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from ci import deferred
from ci.engine.events import Event, OutputLine
from ci.local.base_image_mirrors import prepare_base_images
from ci.local.engine_choice import EngineChoice, EngineKind, choose_engine, require_root
from pipeline.progress import Progress
from pipeline.registry.credentials import Credentials
from pipeline.rules.build_inputs import Recipe
from pipeline.rules.errors import BuildError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan

if TYPE_CHECKING:
    from ci.local.dagger_engine import DaggerEngine


class RunProgress(Progress, Protocol):
    """A progress that also shows the events of the embedded engine."""

    def engine_event(self, event: Event) -> None:
        """Show one event of the embedded engine."""

    def close(self) -> None:
        """End a live display and release the terminal."""


@dataclass(slots=True)
class HostEngine:
    """An `ImageBuilder` that opens an engine for the first thing that needs one.

    Attributes:
        stack: Closes the session.
        choice: Which engine is requested.
        source: The directory to build.
        source_path: Its path in the repository.
        recipe: How it is built.
        secrets: The build secrets by their ids.
        image: The image, whose registry the engine must reach.
        credentials: For that registry, or None.
        progress: Shows what happens.
    """

    stack: AsyncExitStack
    choice: EngineChoice
    source: Path
    source_path: str
    recipe: Recipe
    secrets: Mapping[str, SecretStr]
    image: ImageName
    credentials: Credentials | None
    progress: RunProgress
    _engine: DaggerEngine | None = None
    _held: list[Event] | None = None

    async def open(self) -> DaggerEngine:
        """Return the engine; open the session unless it is open.

        Raises:
            EngineError: No engine is available, or it does not answer.
        """
        if self._engine is None:
            kind, reason = await choose_engine(self.choice)
            self.progress.notice(f"Engine: {kind} ({reason}).")
            mirrors = []
            if kind is EngineKind.EMBEDDED:
                require_root()
                dockerfile = self.source / self.recipe.dockerfile
                arguments = dict(self.recipe.build_args)
                mirrors = await prepare_base_images(dockerfile, self.progress.notice, arguments)
            session = deferred.open_engine(
                kind,
                self._observe,
                mirrors,
                source=self.source,
                source_path=self.source_path,
                recipe=self.recipe,
                secrets=self.secrets,
                image=self.image,
                credentials=self.credentials,
            )
            self._engine = await self.stack.enter_async_context(session)
        return self._engine

    async def run_inside(self, plan: RunPlan, command: Sequence[str]) -> str:
        """Run a command in the image and return its output; the progress shows it only if the command fails."""
        engine = await self.open()
        held: list[Event] = []
        self._held = held
        try:
            return await engine.run_inside(plan, command)
        except BuildError:
            for event in held:
                self.progress.engine_event(event)
            raise
        finally:
            self._held = None

    def _observe(self, event: Event) -> None:
        if self._held is not None and isinstance(event, OutputLine) and event.stream == "stdout":
            self._held.append(event)
        else:
            self.progress.engine_event(event)

    async def content(self) -> str:
        """Return a digest of the source as it is."""
        return await (await self.open()).builder.content()

    async def build(self, plan: RunPlan) -> None:
        """Build the image; see `DaggerBuilder.build`."""
        await (await self.open()).builder.build(plan)

    async def upload(self, plan: RunPlan, reference: str) -> str:
        """Upload the image; see `DaggerBuilder.upload`."""
        return await (await self.open()).builder.upload(plan, reference)
