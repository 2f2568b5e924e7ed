"""Trying again what may pass by itself: a few times, with waits that grow and are not alike in any two runs."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from pipeline.rules.errors import TransientError

T = TypeVar("T")

_WAITS = (0.5, 1.0, 2.0)
"""Seconds before the second, third and fourth attempt."""

_LONGEST_WAIT = 30.0


async def trying_again(action: Callable[[], Awaitable[T]]) -> T:
    """Run an action until it does not fail by a `TransientError`, four times at most.

    Args:
        action: What to run; it must be safe to run twice.

    Raises:
        TransientError: The last attempt failed too, or the registry wants a longer wait than a person would.
    """
    for wait in _WAITS:
        try:
            return await action()
        except TransientError as error:
            if error.after > _LONGEST_WAIT:
                raise
            delay = max(error.after, wait * random.uniform(0.5, 1.0))  # noqa: S311 # jitter, no secret
        await anyio.sleep(delay)
    try:
        return await action()
    except TransientError as error:
        error.message += f" Tried {len(_WAITS) + 1} times."
        raise
