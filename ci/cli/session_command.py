"""`lr-ci session`: serves the embedded engine to a program that uses a Dagger SDK."""

from __future__ import annotations

import os
import sys

import anyio
import typer

from ci.local_registry.server import status
from ci.local_registry.settings import RegistrySettings, hub_mirror


def register(app: typer.Typer) -> None:
    """Add the command; an SDK passes options of its own, which say nothing that the engine needs."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(session)


def session(context: typer.Context) -> None:
    """Serve the embedded engine until standard input ends, for a Dagger SDK.

    Set _EXPERIMENTAL_DAGGER_CLI_BIN to the path of lr-ci, and the SDK starts this by itself. While the local registry
    runs, base images of Docker Hub are looked for there first.
    """
    from ci.engine.protocol.session_process import run_session  # noqa: PLC0415 - no other command waits for the engine's import

    ended_with = run_session([*context.args, *anyio.run(_mirrors)])
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread may still wait for standard input; nothing is left for it to do.
    os._exit(ended_with)


async def _mirrors() -> list[str]:
    found = await status(RegistrySettings())
    if not found.running:
        return []
    mirror = hub_mirror(RegistrySettings(port=found.port))
    return ["--mirror", f"{mirror.prefix}={mirror.location}"]
