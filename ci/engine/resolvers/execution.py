"""Fields of `Container` that run commands, and those that return the output of the last one."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ci.engine.errors import QueryFailedError
from ci.engine.resolvers.platforms import require_runnable
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.command_execution import run_command, run_terminal
from ci.engine.store.containers import ContainerState, ExecResult

_TERMINAL = Path("/dev/tty")
_SHELL = ("/bin/sh",)


@RESOLVERS.field("Container.withExec")
async def with_exec(session: Session, state: ContainerState, *, args: list[str]) -> ContainerState:
    if not args:
        msg = "no command has been set"
        raise QueryFailedError(msg)
    require_runnable("Container.withExec", state.platform)
    runner = await session.runner()
    async with session.step(f"run {shlex.join(args)}") as step:
        return await run_command(
            session.buildah,
            runner,
            state,
            args,
            on_stdout=step.line,
            on_stderr=step.error_line,
            scrub=session.secrets.scrub,
        )


@RESOLVERS.field("Container.stdout")
async def stdout(_session: Session, state: ContainerState) -> str:
    return _last(state).stdout


@RESOLVERS.field("Container.stderr")
async def stderr(_session: Session, state: ContainerState) -> str:
    return _last(state).stderr


def _last(state: ContainerState) -> ExecResult:
    if state.last_exec is None:
        msg = "no command has been set"
        raise QueryFailedError(msg)
    return state.last_exec


@RESOLVERS.field("Container.terminal")
async def terminal(session: Session, state: ContainerState, *, cmd: list[str]) -> ContainerState:
    """Return the container unchanged, after the user has left the shell in it."""
    require_runnable("Container.terminal", state.platform)
    try:
        descriptor = os.open(_TERMINAL, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as e:
        msg = "Container.terminal needs a terminal: it cannot be used in a pipe or in CI"
        raise QueryFailedError(msg) from e
    try:
        runner = await session.runner()
        async with session.step("terminal"):
            await run_terminal(session.buildah, runner, state, cmd or _SHELL, descriptor)
    finally:
        os.close(descriptor)
    return state
