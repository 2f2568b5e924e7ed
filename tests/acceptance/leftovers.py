"""What a run of `lr-ci` can leave on the machine."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.acceptance.command import Command

MEMORY = Path("/dev/shm")  # noqa: S108 - only looked at
_PATIENCE = 60.0


def processes_with(text: str) -> list[str]:
    """Return the commands of the processes whose environment has this in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def processes_left(text: str) -> list[str]:
    """Return the same, once none is left or a minute is over: a builder ends by itself when its parent is killed."""
    deadline = time.monotonic() + _PATIENCE
    while (found := processes_with(text)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points below a folder."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    return [place for place in mounted if Path(place).is_relative_to(folder)]


def containers_of(engine: Path) -> list[object]:
    """Return the working containers of a store, as its own list has them."""
    listed = engine / "store" / "overlay-containers" / "containers.json"
    found: list[object] = json.loads(listed.read_text(encoding="utf-8") or "[]") if listed.exists() else []
    return found


def folders_in(parent: Path, name: str = "*") -> list[str]:
    """Return the names of the folders in another."""
    return [path.name for path in parent.glob(name)]


def left_behind(lr_ci: Command, pid: int) -> dict[str, object]:
    """Return what is left of a run, by kind; nothing, if all is well.

    Args:
        lr_ci: The command, whose cache no other run uses.
        pid: The process of the run.
    """
    found = {
        "processes": processes_left(str(lr_ci.cache)),
        "mounts": mounts_below(lr_ci.cache),
        "containers": containers_of(lr_ci.engine_folder),
        "sessions": folders_in(lr_ci.engine_folder / "sessions"),
        "secrets": folders_in(MEMORY, f"lr-ci-{pid}-*"),
    }
    return {kind: left for kind, left in found.items() if left}
