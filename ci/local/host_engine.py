"""The engine as one image uses it: opened for the first thing that needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ci import deferred
from ci.engine.events import Event
from ci.local.engine_session import EngineSession
from pipeline.registry.credentials import Credentials
from pipeline.rules.build_inputs import Recipe
from pipeline.rules.errors import BuildError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan

if TYPE_CHECKING:
    from ci.local.dagger_engine import DaggerEngine


@dataclass(slots=True)
class HostEngine:
    """An `ImageBuilder` that opens the session for the first thing that needs it.

    Attributes:
        session: The session, which other images may share.
        source: The directory to build.
        source_path: Its path in the repository.
        recipe: How it is built.
        secrets: The build secrets by their ids.
        image: The image, whose registry the engine must reach.
        credentials: For that registry, or None.
    """

    session: EngineSession
    source: Path
    source_path: str
    recipe: Recipe
    secrets: Mapping[str, SecretStr]
    image: ImageName
    credentials: Credentials | None
    _engine: DaggerEngine | None = None

    async def open(self) -> DaggerEngine:
        """Return the engine; open the session unless it is open.

        Raises:
            EngineError: No engine is available, or it does not answer.
        """
        if self._engine is None:
            self._engine = deferred.engine_for(
                await self.session.open(),
                source=self.source,
                source_path=self.source_path,
                recipe=self.recipe,
                secrets=self.secrets,
                image=self.image,
                credentials=self.credentials,
            )
        return self._engine

    async def run_inside(self, plan: RunPlan, command: Sequence[str]) -> str:
        """Run a command in the image and return its output; the progress shows it only if the command fails."""
        engine = await self.open()
        held: list[Event] = []
        self.session.held = held
        try:
            return await engine.run_inside(plan, command)
        except BuildError:
            for event in held:
                self.session.progress.engine_event(event)
            raise
        finally:
            self.session.held = None

    async def content(self) -> str:
        """Return a digest of the source as it is."""
        return await (await self.open()).builder.content()

    async def build(self, plan: RunPlan) -> None:
        """Build the image; see `DaggerBuilder.build`."""
        await (await self.open()).builder.build(plan)

    async def upload(self, plan: RunPlan, reference: str) -> str:
        """Upload the image; see `DaggerBuilder.upload`."""
        return await (await self.open()).builder.upload(plan, reference)
