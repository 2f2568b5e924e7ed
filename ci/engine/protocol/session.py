"""One session: what was described in it, what came of it, and everything that has to go when it ends."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.events import Event, Notice, Observer, OutputLine, StepFinished, StepStarted
from ci.engine.protocol.resolver_table import OPERATIONS, python_arguments
from ci.engine.protocol.secrets import Secrets
from ci.engine.protocol.single_flight import Flights
from ci.engine.store.buildah import Buildah
from ci.engine.store.cleanup import sweep
from ci.engine.store.isolation import Runner, choose_runner
from ci.engine.store.snapshots import SnapshotStore
from ci.engine.store.storage import Mirror, Storage
from ci.engine.store.workspace import Workspace, open_workspace, unusable

T = TypeVar("T")


@dataclass
class Step:
    """A piece of work while it is done; its owner sets `cached` when none was needed."""

    number: int
    label: str
    session: Session
    cached: bool = False

    def line(self, text: str) -> None:
        """Tell the observer a line of output, with secrets masked."""
        self.session.tell(OutputLine(self.number, self.session.secrets.scrub(text)))


@dataclass
class Session:
    """The parts that operations work with.

    Attributes:
        workspace: The session's folders.
        buildah: The builder on the engine's store.
        snapshots: The directories of the session.
        secrets: Its secrets.
        flights: Work under way and done.
        observer: Told what happens; nobody when None.
        workdir: Where relative paths of the caller's machine start.
    """

    workspace: Workspace
    buildah: Buildah
    snapshots: SnapshotStore
    secrets: Secrets
    flights: Flights
    observer: Observer | None = None
    workdir: Path = field(default_factory=Path.cwd)
    _calls: dict[str, Call] = field(default_factory=dict)
    _steps: int = 0

    def remember(self, call: Call) -> Call:
        """Make an object loadable by its id."""
        return self._calls.setdefault(call.id, call)

    def find(self, object_id: str, gives: str | None = None) -> Call:
        """Return the object with an id.

        Args:
            object_id: The id.
            gives: The type it has to be; any when None.

        Raises:
            QueryFailedError: This session has no such object, or it is another type's.
        """
        call = self._calls.get(object_id)
        if call is None:
            msg = f"no object of this session has the id {object_id!r}"
            raise QueryFailedError(msg)
        if gives is not None and call.gives != gives:
            msg = f"expected the id of a {gives}, got one of a {call.gives}"
            raise QueryFailedError(msg)
        return call

    async def value(self, call: Call, kind: type[T]) -> T:
        """Return what a call gives, doing its work if that has not been done in this session.

        Args:
            call: The description.
            kind: The Python type of the value.
        """
        found = call.args if call.field == "literal" else await self.flights.do(call.digest, lambda: self._work(call))
        if not isinstance(found, kind):
            msg = f"{call.field} gave a {type(found).__name__} where a {kind.__name__} was expected"
            raise TypeError(msg)
        return found

    async def answer(self, field_name: str, parent: Call | None, args: dict[str, object]) -> object:
        """Return the answer of a field that gives a scalar."""
        value = None if parent is None else await self.value(parent, object)
        return await OPERATIONS[field_name](self, value, **python_arguments(args))

    async def _work(self, call: Call) -> object:
        return await self.answer(call.field, call.parent, dict(call.args))

    def on_host(self, path: str) -> Path:
        """Return where a path of the caller's machine is; `~` is the caller's home folder."""
        return self.workdir / Path(path).expanduser()

    async def runner(self) -> Runner:
        """Return what runs commands in containers here."""
        found = await self.flights.do("runner", self._choose_runner)
        if not isinstance(found, Runner):
            raise TypeError
        return found

    async def _choose_runner(self) -> Runner:
        runner = await choose_runner(self.buildah)
        self.tell(Notice(runner.notice))
        return runner

    def tell(self, event: Event) -> None:
        """Tell the observer, if there is one."""
        if self.observer is not None:
            self.observer(event)

    @asynccontextmanager
    async def step(self, label: str) -> AsyncIterator[Step]:
        """Tell the observer that a piece of work begins, and how it ended."""
        self._steps += 1
        step = Step(self._steps, self.secrets.scrub(label), self)
        self.tell(StepStarted(step.number, step.label))
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
            self.tell(StepFinished(step.number, step.label, seconds, cached=step.cached, error=error))


@asynccontextmanager
async def open_session(
    folder: Path, *, observer: Observer | None, mirrors: Sequence[Mirror], workdir: Path
) -> AsyncIterator[Session]:
    """Open a session on the engine's folder; at its end nothing of it is left running, mounted or on disk.

    Args:
        folder: The engine's folder.
        observer: Told what happens.
        mirrors: Registries that are asked in place of others.
        workdir: Where relative paths of the caller's machine start.

    Raises:
        QueryFailedError: It cannot work on this machine; the message says why and what else there is.
    """
    if os.geteuid() != 0:
        msg = "the embedded engine builds as root only"
        raise QueryFailedError(msg, hint="Run it as root, or use a Dagger engine.")
    with open_workspace(folder) as workspace:
        try:
            storage = Storage.prepare(folder, workspace.own, mirrors)
        except OSError as e:
            raise unusable(folder, e) from e
        buildah = Buildah(workspace, storage)
        await sweep(buildah)
        try:
            async with anyio.create_task_group() as tasks:
                snapshots = SnapshotStore(workspace.own / "snapshots")
                yield Session(workspace, buildah, snapshots, Secrets(), Flights(tasks), observer, workdir)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await sweep(buildah, ending=True)
