"""Picks the engine that a command uses, and says why."""

from __future__ import annotations

import os
import shutil
from enum import StrEnum
from typing import assert_never

from ci.system.processes import run_process
from pipeline.rules.errors import EngineError

SESSION_PORT = "DAGGER_SESSION_PORT"
RUNNER_HOST = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
CLI_BIN = "_EXPERIMENTAL_DAGGER_CLI_BIN"

_RUNTIMES = ("docker", "podman", "nerdctl")
_RUNTIME_SECONDS = 10.0


class EngineChoice(StrEnum):
    """Which engine a person asks for."""

    AUTO = "auto"
    """A Dagger engine where one can be had, else the embedded one."""
    DAGGER = "dagger"
    EMBEDDED = "embedded"


class EngineKind(StrEnum):
    """Which engine answers."""

    DAGGER = "dagger"
    EMBEDDED = "embedded"


async def choose_engine(choice: EngineChoice) -> tuple[EngineKind, str]:
    """Decide which engine to use, and say why in a few words.

    Raises:
        EngineError: A Dagger engine was asked for, and there is none.
    """
    match choice:
        case EngineChoice.EMBEDDED:
            return EngineKind.EMBEDDED, "as asked for"
        case EngineChoice.DAGGER | EngineChoice.AUTO:
            found, reason = await find_dagger()
        case _:
            assert_never(choice)
    if found:
        return EngineKind.DAGGER, reason
    if choice is EngineChoice.DAGGER:
        msg = f"There is no Dagger engine: {reason}."
        raise EngineError(msg, hint="Install the Dagger CLI and a container runtime, or use --engine embedded.")
    return EngineKind.EMBEDDED, reason


async def find_dagger() -> tuple[bool, str]:
    """Say whether a Dagger engine can be had, and what tells so."""
    if os.environ.get(SESSION_PORT):
        return True, "a session is open already"
    if dagger_program() is None:
        return False, f"{CLI_BIN} names no program" if os.environ.get(CLI_BIN) else "dagger is not on PATH"
    if os.environ.get(RUNNER_HOST):
        return True, f"{RUNNER_HOST} names one"
    runtime = await find_runtime()
    return (False, "no container runtime answers") if runtime is None else (True, f"dagger and {runtime} are there")


def require_root() -> None:
    """Make sure that the embedded engine can work as this user, before anything is prepared for it.

    Raises:
        EngineError: It cannot.
    """
    if os.geteuid() != 0:
        msg = f"The embedded engine builds as root only, and this is user {os.geteuid()}."
        raise EngineError(msg, hint="Run it by sudo, or use a Dagger engine.")


def dagger_program() -> str | None:
    """Return the Dagger CLI: what the environment names, else `dagger` on PATH; None where that is not there."""
    return shutil.which(os.environ.get(CLI_BIN) or "dagger")


async def find_runtime() -> str | None:
    """Return the container runtime that answers, such as `docker`, or None."""
    for name in _RUNTIMES:
        if shutil.which(name) is None:
            continue
        try:
            answer = await run_process([name, "info"], time_limit=_RUNTIME_SECONDS)
        except (TimeoutError, OSError):
            continue
        if answer.exit_code == 0 and "Cannot connect" not in answer.stderr:
            return name
    return None
