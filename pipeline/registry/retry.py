"""Retries of transient failures: a few attempts, with waits that grow and have jitter."""

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


async def with_retries(action: Callable[[], Awaitable[T]]) -> T:
    """Run an action until it does not raise a `TransientError`, four times at most.

    Args:
        action: What to run; it must be safe to run twice.

    Raises:
        TransientError: The last attempt failed too, or the registry requests a wait of more than half a minute.
    """
    for wait in _WAITS:
        try:
            return await action()
        except TransientError as error:
            if error.after > _LONGEST_WAIT:
                raise
            delay = max(error.after, wait * random.uniform(0.5, 1.0))  # noqa: S311 # jitter, not a secret
        await anyio.sleep(delay)
    try:
        return await action()
    except TransientError as error:
        tried = f"Tried {len(_WAITS) + 1} times."
        raise error.extended(tried) from error
