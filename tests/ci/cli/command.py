"""`lr-ci` as a shell starts it: a process of its own, and what it left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.ci.repositories import ENVIRONMENT

LR_CI = Path(sys.executable).with_name("lr-ci")
_KINDS = ("DAGGER_", "_EXPERIMENTAL_DAGGER_", "GIT_", "GITHUB_", "LR_CI_", "FORCE_COLOR", "TTY_")
FOREIGN = frozenset(name for name in os.environ if name.startswith(_KINDS))
"""The variables of whoever runs the tests that would change what a command does."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> list[str]:
        """The lines of standard error, of a command that answered nothing."""
        assert self.stdout == ""
        return self.stderr.splitlines()


InProcess = Callable[..., Ended]
"""Runs `lr-ci` with these arguments in the test's own process, which spares half a second of imports."""


def environment(cache: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a command is told by its environment: nothing of whoever runs the tests, and a cache of its own."""
    mine = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**mine, **ENVIRONMENT, "XDG_CACHE_HOME": str(cache), "COLUMNS": "80", **(more or {})}


def lr_ci(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, cache: Path | None = None) -> Ended:
    """Run `lr-ci` in a folder to its end."""
    done = subprocess.run(
        [LR_CI, *arguments],
        cwd=folder,
        env=environment(cache or folder / "no-cache", env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
