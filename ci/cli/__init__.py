"""The command `lr-ci`: the pipeline on a laptop, on a runner and in a debugger."""

from __future__ import annotations

import os

from ci.cli.early_signals import stop_at_once

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its exit code; signals are handled before anything else is imported."""
    stop_at_once()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some takes a hundredth of a second
    from ci.cli.app import run  # noqa: PLC0415 - takes half a second, in which a signal would end in a traceback

    run()
