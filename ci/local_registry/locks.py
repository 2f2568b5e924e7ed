"""The locks of the local registry's directory, with an error that states what to do if one stays held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ci.system import locks
from pipeline.rules.errors import EngineError


@asynccontextmanager
async def exclusive_lock(
    path: Path, *, time_limit: float, on_wait: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Hold a lock exclusively while the block runs; see `ci.system.locks.exclusive_lock`.

    Raises:
        EngineError: Another process held the lock until the time limit.
    """
    try:
        async with locks.exclusive_lock(path, time_limit=time_limit, on_wait=on_wait):
            yield
    except locks.LockTimeoutError as error:
        raise EngineError(str(error), hint="Wait for that process to finish, or stop it, and try again.") from error
