"""Fields of containers that run commands, and those that show what came of the last one."""

from __future__ import annotations

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.resolvers.configuration import expanded
from ci.engine.store.command_execution import Command, default_command, execute
from ci.engine.store.containers import ContainerState, ExecResult


@OPERATIONS.serves("Container.withExec")
async def with_exec(
    session: Session,
    state: ContainerState,
    *,
    args: list[str],
    use_entrypoint: bool,
    stdin: str,
    expect: str,
    expand: bool,
) -> ContainerState:
    """It, after a command."""
    given = [expanded(state, argument, expand=expand) for argument in args]
    command = default_command(state, given, use_entrypoint=use_entrypoint)
    return await execute(session, state, Command(command, stdin, expect))


@OPERATIONS.serves("Container.stdout")
async def stdout(_session: Session, state: ContainerState) -> str:
    """What the last command wrote to standard output."""
    return _last(state).stdout


@OPERATIONS.serves("Container.stderr")
async def stderr(_session: Session, state: ContainerState) -> str:
    """What the last command wrote to standard error."""
    return _last(state).stderr


@OPERATIONS.serves("Container.combinedOutput")
async def combined_output(_session: Session, state: ContainerState) -> str:
    """Both, as they came."""
    return _last(state).combined


@OPERATIONS.serves("Container.exitCode")
async def exit_code(_session: Session, state: ContainerState) -> int:
    """How the last command ended."""
    return _last(state).exit_code


def _last(state: ContainerState) -> ExecResult:
    if state.last_exec is None:
        msg = "no command has been set"
        raise QueryFailedError(msg)
    return state.last_exec
