"""Runs git without the user's and the system's configuration, for a limited time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ci.engine.errors import GitError
from ci.system.git_settings import STARTS_NO_PROGRAM
from ci.system.processes import Completed, run_process

_SETTINGS = {
    **STARTS_NO_PROGRAM,
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.excludesFile": "/dev/null",
    "core.quotePath": "true",
    "core.untrackedCache": "false",
    "gc.auto": "0",
    "init.defaultBranch": "main",
    "protocol.version": "2",
}


async def run_git(
    arguments: Sequence[str], *, cwd: Path, time_limit: float, env: Mapping[str, str] | None = None
) -> Completed:
    """Run git without the user's and the system's configuration; it never prompts.

    Args:
        arguments: The arguments of `git`.
        cwd: Where it runs; the repository there is trusted whoever owns it.
        time_limit: Seconds after which it is stopped.
        env: Variables in addition to PATH and those that isolate git.

    Returns:
        How it ended; a non-zero exit status is for the caller to judge.

    Raises:
        GitError: It could not be started, or was stopped.
    """
    try:
        return await run_process(
            ("git", *arguments), cwd=cwd, env=_environment(cwd) | dict(env or {}), time_limit=time_limit
        )
    except FileNotFoundError as e:
        msg = f"git could not be started in {os.fspath(cwd)!r}"
        raise GitError(msg, hint="Install git, and check that the directory exists.") from e
    except TimeoutError as e:
        msg = f"git did not answer within {time_limit:g} seconds in {os.fspath(cwd)!r}"
        raise GitError(
            msg, hint="Check whether the disk is slow, or another git process has locked the repository."
        ) from e


def complaint(done: Completed) -> str:
    """Return why git failed, on one line."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    return "; ".join(line.partition(": ")[2] or line for line in reasons) or f"exit status {done.exit_code}"


def _environment(trusted: Path) -> dict[str, str]:
    settings = {**_SETTINGS, "safe.directory": os.fspath(trusted)}
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return env
