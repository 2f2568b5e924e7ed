"""The pid file: which process is ours, told apart from a later one that was given the same number."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import ClassVar

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from ci.system.process_identity import birth

_POLL_SECONDS = 0.02


class ProcessRecord(BaseModel):
    """A process that was started, and with what.

    Attributes:
        pid: Its number.
        born: The machine's boot and the clock tick at which it started; with the number, never the same twice.
        port: The port that it was told to listen on.
        htpasswd: The password file that it was told to use.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    pid: int
    born: str
    port: int
    htpasswd: Path | None

    def is_alive(self) -> bool:
        """Tell whether the very process of this record still runs."""
        return birth(self.pid) == self.born

    def write(self, path: Path) -> None:
        """Put the record into a file, whole or not at all."""
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
    """End a process, gently first.

    Args:
        record: The process; one that took over its number is left alone.
        grace: Seconds it is given after SIGTERM, and again after SIGKILL.

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
        await anyio.sleep(_POLL_SECONDS)
