"""The overlay mounts of a store: lists them, finds the container of each, and unmounts them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from ci.engine.store.storage import Storage
from ci.system.owned_folders import remove_tree
from ci.system.processes import run_process

_LIMIT = 30.0
_ROOM = 1 << 20
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Layer:
    """The layer that a working container writes to.

    Attributes:
        folder: Its directory in the store, without links in its path.
        container: The id of the container.
        description: The file with buildah's description of the container.
    """

    folder: Path
    container: str
    description: Path

    @property
    def merged(self) -> Path:
        """Where it is mounted."""
        return self.folder / "merged"

    def is_mounted(self) -> bool:
        """Return whether it is mounted."""
        return self.merged in mounts_below(self.folder)

    def has_room(self) -> bool:
        """Return whether its file system has space for the store's records."""
        try:
            found = os.statvfs(self.folder)
        except FileNotFoundError:
            return True
        return found.f_bavail * found.f_frsize >= _ROOM

    def complete_description(self) -> None:
        """Write the least of a description if there is none, as buildah removes no container without one.

        A builder that is killed leaves a container without a description, or with a part of one.
        """
        try:
            json.loads(self.description.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            least = {"type": "buildah 0.0.1", "container-id": self.container}
            with suppress(OSError):  # on a full disk, what is left is removed later
                self.description.write_text(json.dumps(least), encoding="utf-8")

    async def empty(self) -> None:
        """Remove what was written to it, so that a full disk has space for the record of its removal."""
        await to_thread.run_sync(_remove, self.folder / "diff")


def mounts_below(folder: Path) -> list[Path]:
    """Return the mount points below a directory, in the kernel's order, once for each mount."""
    folder = folder.resolve()
    # proc(5): the mount point is field 5, with spaces and the like as octal numbers.
    fields = (line.split(b" ")[4] for line in Path("/proc/self/mountinfo").read_bytes().splitlines())
    places = [Path(os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field))) for field in fields]
    return [place for place in places if place != folder and place.is_relative_to(folder)]


async def detach(place: Path) -> bool:
    """Unmount a mount point even if it is in use, and return whether it is unmounted."""
    while place in mounts_below(place.parent):
        try:
            done = await run_process(["umount", "--lazy", place], time_limit=_LIMIT)
        except (FileNotFoundError, TimeoutError):
            return False
        if done.exit_code != 0:
            return False
    return True


def container_layers(storage: Storage) -> Mapping[str, Layer]:
    """Return the layers of the working containers by the ids and the names of the containers."""
    found: dict[str, Layer] = {}
    # The storage library records containers in the first; newer versions record volatile ones in the second.
    for file in (_records(storage.graph) / "containers.json", _records(storage.run) / "volatile-containers.json"):
        try:
            records = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for record in records or ():
            description = _records(storage.graph) / record["id"] / "userdata" / "buildah.json"
            layer = Layer(storage.graph.resolve() / "overlay" / record["layer"], record["id"], description)
            found |= dict.fromkeys((record["id"], *record.get("names", ())), layer)
    return found


async def detach_strays(storage: Storage, mounted: list[Path]) -> None:
    """Unmount the layers that belong to no working container.

    Args:
        storage: The store, which no other session uses.
        mounted: The mount points below it, read before that was checked.
    """
    layers = storage.graph.resolve() / "overlay"
    owned = {layer.merged for layer in container_layers(storage).values()}
    for place in dict.fromkeys(mounted):
        if place.name == "merged" and place.parent.parent == layers and place not in owned:
            await detach(place)
    # buildah mounts the directory of all layers on itself, and unmounts it with the last of them.
    if not mounts_below(layers):
        await detach(layers)


def _records(folder: Path) -> Path:
    return folder / "overlay-containers"


def _remove(folder: Path) -> None:
    with suppress(OSError):  # what is left is removed with the layer
        remove_tree(folder)
