"""The pid file: identifies the registry's process, even after another one reuses its number."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import ClassVar

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from ci.system.process_identity import birth
from ci.system.processes import POLL_SECONDS


class ProcessRecord(BaseModel):
    """A registry process that was started.

    Attributes:
        pid: Its process id.
        born: Identifies the process among all that had this id; see `birth`.
        port: The port that it listens on.
        htpasswd: Its password file, if it requires credentials.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    pid: int
    born: str
    port: int
    htpasswd: Path | None

    def is_alive(self) -> bool:
        """Return whether this very process is still running."""
        return birth(self.pid) == self.born

    def write(self, path: Path) -> None:
        """Write the record to a file atomically."""
        fresh = path.with_name(f"{path.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_text(self.model_dump_json(), encoding="utf-8")
        fresh.replace(path)


def read_record(path: Path) -> ProcessRecord | None:
    """Return the recorded process, which may have ended; None if the file is missing or broken."""
    try:
        return ProcessRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


async def end_process(record: ProcessRecord, *, grace: float) -> bool:
    """Stop a process with SIGTERM, then with SIGKILL.

    Args:
        record: The process; another one that reuses its number is left alone.
        grace: Seconds to wait after each signal.

    Returns:
        Whether it has ended.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not record.is_alive():
            return True
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            return True
        with anyio.move_on_after(grace):
            await _until_gone(record)
    return not record.is_alive()


async def _until_gone(record: ProcessRecord) -> None:
    while True:
        if not record.is_alive():
            return
        await anyio.sleep(POLL_SECONDS)
