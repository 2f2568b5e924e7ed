"""Runs a command, and measures its time, its own memory, and what it asks of a registry."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.workbench import count_requests
from ci.local_registry.settings import RegistrySettings

_COMMAND_SECONDS = 1800
_SAMPLE_SECONDS = 0.01


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        seconds: How long it ran.
        mebibytes: The most memory of its own process, without its children.
        requests: How many requests the registry answered; 0 without a registry.
        loopback_mebibytes: What went over the loopback interface meanwhile, in either direction.
    """

    seconds: float
    mebibytes: float = 0.0
    requests: float = 0.0
    loopback_mebibytes: float = 0.0

    @classmethod
    def median(cls, each: Sequence[Measured]) -> Measured:
        """Return the median of each figure."""
        return cls(
            median(one.seconds for one in each),
            median(one.mebibytes for one in each),
            median(one.requests for one in each),
            median(one.loopback_mebibytes for one in each),
        )

    def plus(self, other: Measured) -> Measured:
        """Return what both took, one after the other."""
        return Measured(
            self.seconds + other.seconds,
            max(self.mebibytes, other.mebibytes),
            self.requests + other.requests,
            self.loopback_mebibytes + other.loopback_mebibytes,
        )


def measured(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    registry: RegistrySettings | None = None,
) -> Measured:
    """Run a command in a directory.

    Raises:
        SystemExit: It failed; contains what it wrote.
    """
    requests = 0 if registry is None else count_requests(registry)
    loopback = _loopback_bytes()
    begin = time.perf_counter()
    # Errors go to a file: nobody reads a pipe meanwhile, and a full one would stop the command.
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        subprocess.Popen(
            [*map(str, command)], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=output
        ) as process,
    ):
        most = 0
        while process.poll() is None and time.perf_counter() - begin < _COMMAND_SECONDS:
            most = max(most, _resident_kibibytes(process.pid))
            try:
                process.wait(_SAMPLE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        seconds = time.perf_counter() - begin
        process.kill()
        process.wait()
        output.seek(0)
        errors = output.read()
    if process.returncode != 0:
        msg = f"{' '.join(map(str, command))}: exit code {process.returncode}\n{errors}"
        raise SystemExit(msg)
    sent = _loopback_bytes() - loopback
    asked = 0 if registry is None else count_requests(registry) - requests - 1
    return Measured(seconds, most / 1024, asked, sent / 1024**2)


def _resident_kibibytes(process: int) -> int:
    """Return the most memory that a process had so far (`VmHWM` of proc(5))."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _loopback_bytes() -> int:
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:"))
