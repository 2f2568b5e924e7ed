"""`lr-ci doctor`: check what builds require."""

from __future__ import annotations

import typer

from ci import deferred
from ci.cli.command import command
from ci.cli.console import answer_console, print_verbatim
from ci.cli.extra_options import CommonOptions
from ci.cli.printing import print_answer
from pipeline.rules.errors import EngineError

_STYLES = {"ok": "green", "missing": "yellow", "broken": "red"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(app)(doctor)


async def doctor(options: CommonOptions) -> None:
    """Check what builds require, and print what is missing and how to get it."""
    report = await deferred.examine()
    if options.json:
        print_answer(report.model_dump_json(indent=2))
    else:
        console = answer_console()
        for finding in report.findings:
            health = (finding.health, _STYLES[finding.health])
            print_verbatim(console, f"{finding.what}: ", health, f", {finding.found}")
            if finding.remedy:
                print_verbatim(console, (f"    {finding.remedy}", "dim"))
    if not report.ready:
        msg = "No engine is available: no Dagger engine responds, and the embedded engine is incomplete."
        raise EngineError(msg, hint="`make setup` installs what the embedded engine requires.")
