"""The engine of a command on the host: its session is opened when it is first needed, and shared by all images."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus

from ci import deferred
from ci.engine.events import Event, OutputLine
from ci.engine.store.storage import Mirror
from ci.local.base_image_mirrors import prepare_base_images
from ci.local.engine_choice import EngineChoice, EngineKind, choose_engine, require_root
from pipeline.concurrency import first_error
from pipeline.progress import Progress


class RunProgress(Progress, Protocol):
    """A progress that also shows the events of the embedded engine."""

    def engine_event(self, event: Event) -> None:
        """Show one event of the embedded engine."""

    def close(self) -> None:
        """End a live display and release the terminal."""


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile that may be built, whose base images the embedded engine needs.

    Attributes:
        path: The file.
        build_args: Build arguments, which may name base images.
    """

    path: Path
    build_args: Mapping[str, str]


@dataclass(slots=True)
class EngineSession:
    """A session that is opened for the first thing that needs it; see `engine_session`.

    Attributes:
        choice: Which engine is requested.
        dockerfiles: What may be built.
        progress: Shows what happens.
        held: Where the standard output of commands goes instead of the progress, if it is held back.
    """

    choice: EngineChoice
    dockerfiles: Sequence[Dockerfile]
    progress: RunProgress
    held: list[Event] | None = None
    _tasks: TaskGroup | None = None
    _kind: EngineKind | None = None
    _lock: anyio.Lock = field(default_factory=anyio.Lock)
    _ended: anyio.Event = field(default_factory=anyio.Event)

    async def open(self) -> EngineKind:
        """Open the session unless it is open, and return the kind of its engine.

        Raises:
            EngineError: No engine is available, or it does not answer.
        """
        async with self._lock:
            if self._kind is None and self._tasks is not None:
                self._kind = await self._tasks.start(self._keep_open)
        if self._kind is None:
            msg = "the session has ended"
            raise RuntimeError(msg)
        return self._kind

    async def _keep_open(self, *, task_status: TaskStatus[EngineKind]) -> None:
        """Hold the session in a task of its own, as what is opened in a task must be closed there."""
        try:
            async with anyio.create_task_group() as tasks:
                # Takes half a second, in which the programs that are asked here work too.
                tasks.start_soon(partial(to_thread.run_sync, deferred.load, "open_session", abandon_on_cancel=True))
                kind, mirrors = await self._choose()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        async with deferred.open_session(kind, self._observe, mirrors):
            task_status.started(kind)
            with anyio.CancelScope(shield=True):  # what uses the session ends first
                await self._ended.wait()

    async def _choose(self) -> tuple[EngineKind, list[Mirror]]:
        """Choose the engine, and make the base images available to it."""
        kind, reason = await choose_engine(self.choice)
        self.progress.notice(f"Engine: {kind} ({reason}).")
        mirrors: list[Mirror] = []
        if kind is EngineKind.EMBEDDED:
            require_root()
            for dockerfile in self.dockerfiles:
                found = await prepare_base_images(dockerfile.path, self.progress.notice, dockerfile.build_args)
                mirrors += [mirror for mirror in found if mirror not in mirrors]
        return kind, mirrors

    def _observe(self, event: Event) -> None:
        if self.held is not None and isinstance(event, OutputLine) and event.stream == "stdout":
            self.held.append(event)
        else:
            self.progress.engine_event(event)


@asynccontextmanager
async def engine_session(
    choice: EngineChoice, dockerfiles: Sequence[Dockerfile], progress: RunProgress
) -> AsyncIterator[EngineSession]:
    """Provide a session with an engine until the block ends."""
    session = EngineSession(choice, dockerfiles, progress)
    try:
        async with anyio.create_task_group() as tasks:
            session._tasks = tasks  # noqa: SLF001 - its other half
            try:
                yield session
            finally:
                session._ended.set()  # noqa: SLF001 - as above
    except BaseExceptionGroup as group:
        raise first_error(group) from group
