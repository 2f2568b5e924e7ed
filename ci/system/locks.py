"""Locks between processes, on files: the kernel drops them when their holder dies."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from pipeline.rules.errors import EngineError

_POLL_SECONDS = 0.05


@asynccontextmanager
async def exclusive_lock(
    path: Path, *, time_limit: float = math.inf, on_wait: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Hold a lock alone, for as long as the block runs; wait for those who hold it.

    Args:
        path: The lock's file, in a folder that exists; it is made when it is missing, and stays.
        time_limit: Seconds to wait for other holders.
        on_wait: Called once when another holder must be waited for.

    Raises:
        EngineError: Others held it for the whole time.
    """
    with _opened(path) as descriptor:
        with anyio.move_on_after(time_limit) as scope:
            await _wait(descriptor, fcntl.LOCK_EX, on_wait)
        if scope.cancelled_caught:
            msg = f"Another process has held {path} for {time_limit:.0f} s."
            raise EngineError(msg, hint="Wait for it to end, or stop it, and run this again.")
        yield


@asynccontextmanager
async def shared_lock(path: Path) -> AsyncIterator[None]:
    """Hold a lock that others may hold too, for as long as the block runs; wait for who holds it alone."""
    with _opened(path) as descriptor:
        await _wait(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to hold a lock alone; tell whether that worked."""
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
