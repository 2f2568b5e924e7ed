"""Single flight: work that several queries ask for at once is done once, and what it gave is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

Work = Callable[[], Awaitable[object]]


@dataclass(eq=False, slots=True)
class _Flight:
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    waiting: int = 0
    result: object = None
    error: Exception | None = None


class Flights:
    """Work by key. What succeeded is kept; what failed is tried again by whoever asks next.

    Work runs on its own, so that one query that is given up does not take it from the others; when nobody waits
    for it any more, it is stopped.

    Args:
        tasks: Where the work runs; it must outlive every query.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._flights: dict[str, _Flight] = {}

    async def do(self, key: str, work: Work) -> object:
        """Return what the work with this key gives, and start it if nobody has.

        Args:
            key: Names the work; equal keys mean equal work.
            work: Does it.

        Raises:
            Exception: What the work raised.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            self._tasks.start_soon(self._fly, key, flight, work)
        flight.waiting += 1
        try:
            await flight.ended.wait()
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.ended.is_set():
                self._forget(key, flight)
                flight.scope.cancel()
        if flight.error is not None:
            raise flight.error
        return flight.result

    async def _fly(self, key: str, flight: _Flight, work: Work) -> None:
        with flight.scope:
            try:
                flight.result = await work()
            except Exception as error:  # noqa: BLE001 - it is raised to everyone who waits
                flight.error = error
                self._forget(key, flight)
            flight.ended.set()

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
