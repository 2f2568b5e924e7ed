"""Opens a session with an engine of either kind, for the SDK's `dag`."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import assert_never

import dagger
from rich.console import Console

from ci.engine.errors import EmbeddedEngineError
from ci.engine.events import Observer
from ci.engine.protocol.server import embedded_engine
from ci.engine.store.storage import Mirror
from ci.local.engine_choice import CLI_BIN, SESSION_PORT, EngineKind, dagger_program
from pipeline.rules.errors import EngineError

_SESSION_TOKEN = "DAGGER_SESSION_TOKEN"  # noqa: S105 - the name of a variable


@asynccontextmanager
async def open_session(kind: EngineKind, observer: Observer, mirrors: Sequence[Mirror] = ()) -> AsyncIterator[None]:
    """Open a session for the SDK's `dag` while the block runs.

    Args:
        kind: The engine.
        observer: Called with the embedded engine's events; a Dagger engine writes its progress to standard error.
        mirrors: Registries that the embedded engine uses instead of others.

    Raises:
        EngineError: The session could not be opened.
    """
    async with AsyncExitStack() as stack:
        match kind:
            case EngineKind.EMBEDDED:
                try:
                    address = await stack.enter_async_context(embedded_engine(observer=observer, mirrors=mirrors))
                except EmbeddedEngineError as error:
                    raise EngineError(error.message, hint=error.hint) from error
                stack.enter_context(_environment({SESSION_PORT: str(address.port), _SESSION_TOKEN: address.token}))
                config = dagger.Config()
            case EngineKind.DAGGER:
                program = dagger_program()
                stack.enter_context(_environment({} if program is None else {CLI_BIN: program}))
                config = dagger.Config(log_output=sys.stderr)
            case _:
                assert_never(kind)
        # The SDK's own spinner would interfere with ours, and does not stop if the session cannot be opened.
        config.console = Console(quiet=True, force_terminal=False)
        try:
            await stack.enter_async_context(dagger.connection(config))
        except dagger.DaggerError as error:
            msg = f"No session with the {kind} engine: {error}"
            raise EngineError(msg, hint="`lr-ci doctor` shows what is missing.") from error
        yield


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, from which the SDK reads its session, while the block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
