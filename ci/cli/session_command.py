"""`lr-ci session`: serves the embedded engine to a program that uses a Dagger SDK."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import anyio
import typer

from ci import deferred

if TYPE_CHECKING:
    from ci.engine.store.storage import Mirror


def register(app: typer.Typer) -> None:
    """Add the command. An SDK passes options of its own, most of which the engine ignores."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(session)


def session(context: typer.Context) -> None:
    """Serve the embedded engine until standard input ends, for a Dagger SDK.

    Set _EXPERIMENTAL_DAGGER_CLI_BIN to the path of lr-ci, and the SDK starts this command. If the local registry is
    running, base images from Docker Hub are pulled from it.
    """
    ended_with = deferred.run_session(context.args, anyio.run(_prepare))
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread may still be waiting for standard input.
    os._exit(ended_with)


async def _prepare() -> list[Mirror]:
    await deferred.remove_leftovers()
    return await deferred.running_mirrors()
