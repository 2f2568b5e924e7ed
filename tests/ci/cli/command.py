"""`lr-ci` as a shell starts it: a process of its own, and what it left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import preforked
from tests.ci.repositories import ENVIRONMENT


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
    return {**preforked.own_environment(), **ENVIRONMENT, "XDG_CACHE_HOME": str(cache), "COLUMNS": "80", **(more or {})}


def lr_ci(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, cache: Path | None = None) -> Ended:
    """Run `lr-ci` in a folder to its end."""
    own = environment(cache or folder / "no-cache", env)
    return Ended(*preforked.run(arguments, folder, own, seconds=120))
