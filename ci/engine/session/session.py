"""One session: the objects that its queries describe, their values, and its cleanup."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.events import Event, Notice, Observer, OutputLine, StepFinished, StepStarted
from ci.engine.session.descriptions import ITEM, Description
from ci.engine.session.resolver_registration import RESOLVERS, python_arguments
from ci.engine.session.secrets import Secrets
from ci.engine.session.single_flight import SingleFlight
from ci.engine.store.buildah import CLEANUP_SECONDS, Buildah
from ci.engine.store.cleanup import sweep
from ci.engine.store.isolation import Runner, choose_runner
from ci.engine.store.session_folders import SessionFolders, open_session_folders, unusable
from ci.engine.store.snapshots import SnapshotStore
from ci.engine.store.storage import Mirror, Storage

T = TypeVar("T")


@dataclass
class Step:
    """A step while it runs; its owner sets `cached` if the result came from the cache."""

    number: int
    label: str
    session: Session
    cached: bool = False

    def line(self, text: str) -> None:
        """Report a line of standard output, with secrets masked."""
        self.session.report(OutputLine(self.number, self.session.secrets.scrub(text)))

    def error_line(self, text: str) -> None:
        """Report a line of standard error, with secrets masked."""
        self.session.report(OutputLine(self.number, self.session.secrets.scrub(text), "stderr"))


@dataclass
class Session:
    """What resolvers work with.

    Attributes:
        folders: The session's directories.
        buildah: The builder on the engine's store.
        snapshots: The directories that queries described.
        secrets: The session's secrets.
        single_flight: The work that queries share.
        observer: Called with each event, or None.
        workdir: The directory that relative paths of the host start from.
    """

    folders: SessionFolders
    buildah: Buildah
    snapshots: SnapshotStore
    secrets: Secrets
    single_flight: SingleFlight
    observer: Observer | None = None
    workdir: Path = field(default_factory=Path.cwd)
    _objects: dict[str, Description] = field(default_factory=dict)
    _steps: int = 0

    def remember(self, description: Description) -> Description:
        """Make an object loadable by its id."""
        return self._objects.setdefault(description.id, description)

    def find(self, object_id: str, type_name: str | None = None) -> Description:
        """Return the object with an id.

        Args:
            object_id: The id.
            type_name: The type that it must have; any when None.

        Raises:
            QueryFailedError: This session has no such object, or it has a different type.
        """
        found = self._objects.get(object_id)
        if found is None:
            msg = f"no object of this session has the id {object_id!r}"
            raise QueryFailedError(msg)
        if type_name is not None and found.type_name != type_name:
            msg = f"expected the id of a {type_name}, got one of a {found.type_name}"
            raise QueryFailedError(msg)
        return found

    async def value(self, description: Description, kind: type[T]) -> T:
        """Return the value of an object; the work for it is done once per session.

        Args:
            description: The object.
            kind: The Python type of the value.
        """
        found = await self.single_flight.do(description.digest, lambda: self._work(description))
        if not isinstance(found, kind):
            msg = f"{description.field} returned a {type(found).__name__}, expected a {kind.__name__}"
            raise TypeError(msg)
        return found

    async def answer(self, field_name: str, parent: Description | None, args: dict[str, object]) -> object:
        """Return the answer of a field that returns a scalar."""
        value = None if parent is None else await self.value(parent, object)
        return await RESOLVERS[field_name](self, value, **python_arguments(args))

    async def _work(self, description: Description) -> object:
        if ITEM not in description.args:
            return await self.answer(description.field, description.parent, dict(description.args))
        args = {name: value for name, value in description.args.items() if name != ITEM}
        listed = Description(f"[{description.type_name}]", description.field, description.parent, args)
        return (await self.value(listed, tuple))[cast("int", description.args[ITEM])]

    def on_host(self, path: str) -> Path:
        """Return a path of the host as an absolute one; `~` is the user's home directory."""
        return self.workdir / Path(path).expanduser()

    async def runner(self) -> Runner:
        """Return what runs commands in containers on this host."""
        return await self.single_flight.do("runner", self._choose_runner)

    async def _choose_runner(self) -> Runner:
        runner = await choose_runner(self.buildah)
        if not runner.known:
            self.report(Notice(runner.notice))
        return runner

    def report(self, event: Event) -> None:
        """Call the observer, if there is one."""
        if self.observer is not None:
            self.observer(event)

    @asynccontextmanager
    async def step(self, label: str) -> AsyncIterator[Step]:
        """Report the start and the end of a step: the block."""
        self._steps += 1
        step = Step(self._steps, self.secrets.scrub(label), self)
        self.report(StepStarted(step.number, step.label))
        started = time.monotonic()
        error = "stopped"
        try:
            yield step
            error = ""
        except Exception as e:
            error = self.secrets.scrub(str(e))
            raise
        finally:
            seconds = time.monotonic() - started
            self.report(StepFinished(step.number, step.label, seconds, cached=step.cached, error=error))


@asynccontextmanager
async def new_session(
    folder: Path, *, observer: Observer | None, mirrors: Sequence[Mirror], workdir: Path
) -> AsyncIterator[Session]:
    """Open a session on the engine's directory; at its end nothing of it is left running, mounted or on disk.

    Args:
        folder: The engine's directory.
        observer: Called with each event.
        mirrors: Registries to use instead of others.
        workdir: The directory that relative paths of the host start from.

    Raises:
        EmbeddedEngineError: The engine cannot work on this host; the message states why and what to use instead.
    """
    if os.geteuid() != 0:
        msg = "the embedded engine requires root"
        raise QueryFailedError(msg, hint="Run it as root, or use a Dagger engine.")
    with open_session_folders(folder) as folders:
        try:
            storage = Storage.prepare(folder, folders.own, mirrors)
        except OSError as e:
            raise unusable(folder, e) from e
        buildah = Buildah(folders, storage)
        await sweep(buildah)
        try:
            async with anyio.create_task_group() as tasks:
                snapshots = SnapshotStore(folders.own / "snapshots")
                yield Session(folders, buildah, snapshots, Secrets(), SingleFlight(tasks), observer, workdir)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                await sweep(buildah, ending=True)
