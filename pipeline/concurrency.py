"""Bounded concurrency that raises ordinary errors instead of exception groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")

_AT_ONCE = 8


async def each(items: Iterable[T], action: Callable[[T], Awaitable[None]], *, at_once: int = _AT_ONCE) -> None:
    """Run an action on every item, a bounded number at a time.

    Args:
        items: The items.
        action: Called with each item.
        at_once: How many calls run at the same time.

    Raises:
        Exception: The first error of an action; the others are cancelled. In a module, a group would hide the message.
    """
    limiter = anyio.CapacityLimiter(at_once)

    async def limited(item: T) -> None:
        async with limiter:
            await action(item)

    try:
        async with anyio.create_task_group() as tasks:
            for item in items:
                tasks.start_soon(limited, item)
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error inside a group, however deeply it is nested."""
    first = group.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first
