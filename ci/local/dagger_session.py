"""Opens a session with an engine; the pipeline speaks to either kind in the same way."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import assert_never

import dagger
from rich.console import Console

from ci.engine.protocol.events import Observer
from ci.engine.protocol.server import embedded_engine
from ci.engine.store.storage import Mirror
from ci.local.engine_choice import CLI_BIN, SESSION_PORT, EngineKind, dagger_program
from pipeline.rules.errors import EngineError

_SESSION_TOKEN = "DAGGER_SESSION_TOKEN"  # noqa: S105 - the name of a variable


@asynccontextmanager
async def open_session(kind: EngineKind, observer: Observer, mirrors: Sequence[Mirror] = ()) -> AsyncIterator[None]:
    """Open a session that the SDK's `dag` speaks to, until the block ends.

    Args:
        kind: Which engine.
        observer: Told what the embedded engine does; a Dagger engine writes its own progress to standard error.
        mirrors: Where the embedded engine looks for base images first.

    Raises:
        EngineError: The session could not be opened.
    """
    async with AsyncExitStack() as stack:
        match kind:
            case EngineKind.EMBEDDED:
                address = await stack.enter_async_context(embedded_engine(observer=observer, mirrors=mirrors))
                stack.enter_context(_environment({SESSION_PORT: str(address.port), _SESSION_TOKEN: address.token}))
                config = dagger.Config()
            case EngineKind.DAGGER:
                program = dagger_program()
                stack.enter_context(_environment({} if program is None else {CLI_BIN: program}))
                config = dagger.Config(log_output=sys.stderr)
            case _:
                assert_never(kind)
        # The SDK's own spinner would stand beside ours, and it is never ended where no session comes about.
        config.console = Console(quiet=True, force_terminal=False)
        try:
            await stack.enter_async_context(dagger.connection(config))
        except dagger.DaggerError as error:
            msg = f"No session with the {kind} engine: {error}"
            raise EngineError(msg, hint="`lr-ci doctor` says what is missing.") from error
        yield


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, as the SDK reads its session from there alone, and put them back."""
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
