"""What identifies a process: its entry in `/proc` (proc(5)) and the boot it belongs to, as process ids are reused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROCESSES = Path("/proc")
"""Linux's table of processes; other systems have none."""

_BOOT_ID = PROCESSES / "sys/kernel/random/boot_id"
_ENDED = frozenset({"Z", "X"})


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A running process, as `/proc/PID/stat` describes it.

    Attributes:
        group: The id of its process group.
        started: When it started, in clock ticks since the boot.
    """

    group: int
    started: int


def boot_id() -> str:
    """Return the id of the current boot."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def running_process(pid: int) -> ProcessStatus | None:
    """Read the status of a process; None if it does not exist or is a zombie."""
    try:
        stat = (PROCESSES / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in field 2 may contain spaces and parentheses; fields 3, 5 and 22 are state, group and start time.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in _ENDED else ProcessStatus(group=int(fields[2]), started=int(fields[19]))


def birth(pid: int) -> str | None:
    """Return an id of a running process that no later process with the same number has; None if it has ended."""
    process = running_process(pid)
    return None if process is None else f"{boot_id()}:{process.started}"
