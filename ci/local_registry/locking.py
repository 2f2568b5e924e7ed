"""One at a time, across processes: a lock on a file that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from pipeline.errors import EngineError

_POLL_SECONDS = 0.05


@asynccontextmanager
async def file_lock(path: Path, *, time_limit: float, on_wait: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Hold an exclusive lock on a file, which is made when it is missing and stays.

    Args:
        path: The lock's file, in a folder that exists.
        time_limit: Seconds to wait for another holder.
        on_wait: Called once when another holder must be waited for.

    Raises:
        EngineError: Another process held it for the whole time.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        waiting = False
        with anyio.move_on_after(time_limit) as scope:
            while not _try_lock(descriptor):
                if not waiting and on_wait is not None:
                    on_wait()
                waiting = True
                await anyio.sleep(_POLL_SECONDS)
        if scope.cancelled_caught:
            msg = f"Another process has held {path} for {time_limit:.0f} s."
            raise EngineError(msg, hint="Wait for it to end, or stop it, and run this again.")
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
