"""Chooses the engine that a command uses, and reports why."""

from __future__ import annotations

import os
import shutil
from enum import StrEnum
from typing import assert_never

from ci.system.processes import plain_environment, run_process
from pipeline.rules.errors import EngineError

SESSION_PORT = "DAGGER_SESSION_PORT"
RUNNER_HOST = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
CLI_BIN = "_EXPERIMENTAL_DAGGER_CLI_BIN"

_RUNTIMES = ("docker", "podman", "nerdctl")
_OF_RUNTIMES = (
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST",
)
_RUNTIME_SECONDS = 10.0


class EngineChoice(StrEnum):
    """The engine that the user requests."""

    AUTO = "auto"
    """A Dagger engine if one is available, otherwise the embedded engine."""
    DAGGER = "dagger"
    EMBEDDED = "embedded"


class EngineKind(StrEnum):
    """The engine that is used."""

    DAGGER = "dagger"
    EMBEDDED = "embedded"


async def choose_engine(choice: EngineChoice) -> tuple[EngineKind, str]:
    """Return the engine to use, and why in a few words.

    Raises:
        EngineError: A Dagger engine was requested, but none is available.
    """
    match choice:
        case EngineChoice.EMBEDDED:
            return EngineKind.EMBEDDED, "as requested"
        case EngineChoice.DAGGER | EngineChoice.AUTO:
            found, reason = await find_dagger()
        case _:
            assert_never(choice)
    if found:
        return EngineKind.DAGGER, reason
    if choice is EngineChoice.DAGGER:
        msg = f"No Dagger engine is available: {reason}."
        raise EngineError(msg, hint="Install the Dagger CLI and a container runtime, or use --engine embedded.")
    return EngineKind.EMBEDDED, reason


async def find_dagger() -> tuple[bool, str]:
    """Return whether a Dagger engine is available, and the reason."""
    if os.environ.get(SESSION_PORT):
        return True, "a session is already open"
    if dagger_program() is None:
        return False, f"{CLI_BIN} is not a program" if os.environ.get(CLI_BIN) else "dagger is not on PATH"
    if os.environ.get(RUNNER_HOST):
        return True, f"{RUNNER_HOST} is set"
    runtime = await find_runtime()
    return (
        (False, "no container runtime responds") if runtime is None else (True, f"dagger and {runtime} are available")
    )


def require_root() -> None:
    """Check that the current user can run the embedded engine, before anything is prepared for it.

    Raises:
        EngineError: The user is not root.
    """
    if os.geteuid() != 0:
        msg = f"The embedded engine requires root, but the current user ID is {os.geteuid()}."
        raise EngineError(msg, hint="Use sudo or a Dagger engine.")


def dagger_program() -> str | None:
    """Return the path of the Dagger CLI: as set in the environment, or `dagger` on PATH; None if it does not exist."""
    return shutil.which(os.environ.get(CLI_BIN) or "dagger")


async def find_runtime() -> str | None:
    """Return the first container runtime that responds, such as `docker`, or None."""
    for name in _RUNTIMES:
        if shutil.which(name) is None:
            continue
        try:
            answer = await run_process(
                [name, "info"], time_limit=_RUNTIME_SECONDS, env=plain_environment(*_OF_RUNTIMES)
            )
        except (TimeoutError, OSError):
            continue
        if answer.exit_code == 0 and "Cannot connect" not in answer.stderr:
            return name
    return None
