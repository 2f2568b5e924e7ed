"""The engine as a program for a Dagger SDK: it prints one JSON line, and serves a session until stdin ends."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
from anyio import to_thread

from ci.engine.errors import EmbeddedEngineError
from ci.engine.events import Event, Notice, OutputLine, StepFinished, StepStarted
from ci.engine.protocol.server import embedded_engine
from ci.engine.store.storage import Mirror

_FAILURE = 1
_CHUNK = 4096


def run_session(arguments: Sequence[str], mirrors: Sequence[Mirror] = ()) -> int:
    """Serve a session as `dagger session` does, and return the exit status.

    Args:
        arguments: The arguments that the SDK passes after `session`, of which only `--workdir` has an effect.
        mirrors: Registries to use instead of others.
    """
    parser = argparse.ArgumentParser(prog="session", add_help=False, allow_abbrev=False)
    parser.add_argument("--workdir", type=Path, default=Path.cwd())
    options, _ignored = parser.parse_known_args(list(arguments))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        anyio.run(_session, options.workdir, mirrors)
    except EmbeddedEngineError as e:
        sys.stderr.write(f"{e}\n")
        return _FAILURE
    return 0


async def _session(workdir: Path, mirrors: Sequence[Mirror]) -> None:
    # Open until the session has ended, so that a second signal cannot interrupt its cleanup.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with embedded_engine(observer=_report, mirrors=mirrors, workdir=workdir) as address:
            sys.stdout.write(json.dumps({"port": address.port, "session_token": address.token}) + "\n")
            sys.stdout.flush()
            async with anyio.create_task_group() as tasks:
                for wait in (signals.__anext__, _end_of_input):
                    tasks.start_soon(_until, wait, tasks.cancel_scope)


async def _until(wait: Callable[[], Awaitable[object]], scope: anyio.CancelScope) -> None:
    await wait()
    scope.cancel()


async def _end_of_input() -> None:
    """Wait until the parent closes standard input, or ends."""
    while await to_thread.run_sync(os.read, sys.stdin.fileno(), _CHUNK, abandon_on_cancel=True):
        pass


def _report(event: Event) -> None:
    match event:
        case StepStarted(label=label):
            text = f"▶ {label}"
        case StepFinished(label=label, seconds=seconds, cached=cached, error=error):
            text = f"{'✘' if error else '✔'} {label} {'(cached)' if cached else f'({seconds:.1f} s)'}"
        case OutputLine(text=line):
            text = f"  {line}"
        case Notice(text=notice):
            text = notice
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
