"""File locks between processes; the kernel releases them when their holder ends."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

_POLL_SECONDS = 0.05


class LockTimeoutError(TimeoutError):
    """Another process held a lock until the time limit.

    Args:
        path: The lock's file.
        time_limit: Seconds that were waited.
    """

    def __init__(self, path: Path, time_limit: float) -> None:
        super().__init__(f"Another process has held {path} for {time_limit:.0f} s.")


@asynccontextmanager
async def exclusive_lock(
    path: Path, *, time_limit: float = math.inf, on_wait: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Hold a lock exclusively while the block runs; wait for other holders.

    Args:
        path: The lock's file, in an existing directory; it is created if it is missing, and is never removed.
        time_limit: Seconds to wait for other holders.
        on_wait: Called once if another process holds the lock.

    Raises:
        LockTimeoutError: Another process held the lock until the time limit.
    """
    with _opened(path) as descriptor:
        with anyio.move_on_after(time_limit) as scope:
            await _wait(descriptor, fcntl.LOCK_EX, on_wait)
        if scope.cancelled_caught:
            raise LockTimeoutError(path, time_limit)
        yield


@asynccontextmanager
async def shared_lock(path: Path) -> AsyncIterator[None]:
    """Hold a lock together with other shared holders while the block runs; wait for an exclusive holder."""
    with _opened(path) as descriptor:
        await _wait(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to hold a lock exclusively, and yield whether it was acquired."""
    with _opened(path) as descriptor:
        yield _locks(descriptor, fcntl.LOCK_EX)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _wait(descriptor: int, kind: int, on_wait: Callable[[], None] | None = None) -> None:
    waiting = False
    while not _locks(descriptor, kind):
        if not waiting and on_wait is not None:
            on_wait()
        waiting = True
        await anyio.sleep(_POLL_SECONDS)


def _locks(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
