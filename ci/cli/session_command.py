"""`lr-ci session`: serves the embedded engine to a program that uses a Dagger SDK."""

from __future__ import annotations

import typer

from ci.cli.console import error_console
from ci.cli.running import run_command


def register(app: typer.Typer) -> None:
    """Add the command; an SDK passes options of its own, which say nothing that the engine needs."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(session)


def session(_context: typer.Context) -> None:
    """Serve the embedded engine until standard input ends, for a Dagger SDK.

    Set _EXPERIMENTAL_DAGGER_CLI_BIN to the path of lr-ci, and the SDK starts this by itself.
    """
    from ci.engine.__main__ import serve_session  # noqa: PLC0415 - the engine is imported where it is needed

    run_command(serve_session, error_console(), debug=False)
