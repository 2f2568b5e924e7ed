"""`Container.terminal`: a shell in a container, for a person at a terminal."""

from __future__ import annotations

import os
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.store.command_execution import options_for
from ci.engine.store.container_roots import make_folder
from ci.engine.store.containers import ContainerState
from ci.engine.store.mounts import attach

_TERMINAL = Path("/dev/tty")
_SHELL = ("/bin/sh",)


@OPERATIONS.serves("Container.terminal")
async def terminal(session: Session, state: ContainerState, *, cmd: list[str]) -> ContainerState:
    """It, unchanged, after a person has looked around in it."""
    try:
        descriptor = os.open(_TERMINAL, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as e:
        msg = "Container.terminal needs a terminal, and the session has none: run it from one, not in a pipe or in CI"
        raise QueryFailedError(msg) from e
    try:
        async with session.step("terminal"), AsyncExitStack() as stack:
            await _run(session, state, stack, list(cmd) or list(_SHELL), descriptor)
    finally:
        os.close(descriptor)
    return state


async def _run(session: Session, state: ContainerState, stack: AsyncExitStack, cmd: list[str], descriptor: int) -> None:
    buildah = session.buildah
    runner = await session.runner()
    name = await stack.enter_async_context(buildah.container(state.image))
    root = await stack.enter_async_context(buildah.root(name))
    await make_folder(root, state.config.workdir or "/")
    mounted = [await attach(session, stack, root, mount, content="") for mount in state.mounts]
    options = [*await options_for(session, state, name), *(part for each in mounted for part in each.options)]
    # Not `run_process`: the command needs the terminal itself, and no time limit but the person's patience.
    process = await anyio.open_process(
        ["buildah", "run", "--terminal=true", *runner.arguments, *options, name, "--", *cmd],
        stdin=descriptor,
        stdout=descriptor,
        stderr=subprocess.STDOUT,
        # A short path: the terminal's socket stands in it, and the kernel wants its name below 108 bytes.
        env=buildah.storage.environment(temporary=session.workspace.private),
        cwd=buildah.workspace.own,
    )
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
        with anyio.CancelScope(shield=True):
            await process.wait()
            await process.aclose()
