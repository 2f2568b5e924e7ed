"""Caches that outlive a test session, so that packages are installed once and not each time."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tests.acceptance.command import KEPT, Command
from tests.registry_fixtures import free_port

# A few are new with each test session; the store is made anew when they have become many.
_MOST_IMAGES = 150


@contextmanager
def kept_caches() -> Iterator[Command]:
    """Give `lr-ci` with the kept caches.

    The registry that holds the base images runs for as long as anyone needs it, on a port that nobody else wants.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    command = Command(KEPT)
    with (KEPT / "in-use.lock").open("w") as lock:
        if _take_alone(lock) and len(list((command.engine_folder / "layers").glob("*.json"))) > _MOST_IMAGES:
            shutil.rmtree(command.engine_folder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        with (KEPT / "starting.lock").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)  # two sessions would start it on two ports
            state = json.loads(command.run(KEPT, "registry", "status", "--json").succeeded().stdout)
            if not state["running"]:
                command.run(KEPT, "registry", "up", "--port", str(free_port())).succeeded()
        try:
            yield command
        finally:
            if _take_alone(lock):  # else another test session needs it still
                command.run(KEPT, "registry", "down").succeeded()


def _take_alone(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
