"""The exit codes of `lr-ci`; each kind of error in `pipeline.rules.errors` has one."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """How `lr-ci` exits, and what that means."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Return a code with its meaning, which the help shows."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "success"
    BUG = 1, "internal error"
    USAGE = 2, "invalid usage, ref, commit, name or directory"
    BUILD = 3, "build failed"
    AUTH = 4, "access denied"
    NETWORK = 5, "registry, network or engine failed"
    GUARD = 6, "refused by a guard"


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of several runs: a bug's if there is one, else the highest."""
    found = set(codes)
    return int(ExitCode.BUG if ExitCode.BUG in found else max(found, default=ExitCode.OK))
