"""Single flight: work that several queries request at the same time is done once, and its result is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Flight:
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    waiting: int = 0
    result: Any = None
    error: Exception | None = None


class SingleFlight:
    """Work by key. A result is kept; work that failed is done again for the next caller.

    Work runs in its own task, so cancelling one caller does not affect the others. It is stopped when no caller waits
    for it any more.

    Args:
        tasks: Where the work runs; it must outlive every caller.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._flights: dict[str, _Flight] = {}

    async def do(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the work with this key; start the work unless it runs or is done.

        Args:
            key: Identifies the work; equal keys mean equal work.
            work: Does it.

        Raises:
            Exception: Whatever the work raised.
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
        result: T = flight.result
        return result

    async def _fly(self, key: str, flight: _Flight, work: Callable[[], Awaitable[object]]) -> None:
        with flight.scope:
            try:
                flight.result = await work()
            except Exception as error:  # noqa: BLE001 - it is raised to every caller
                flight.error = error
                self._forget(key, flight)
            flight.ended.set()

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
