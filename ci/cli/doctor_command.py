"""`lr-ci doctor`: what is there, what is missing, and what to do about it."""

from __future__ import annotations

import typer

from ci.cli import options
from ci.cli.console import answer_console, error_console, print_verbatim
from ci.cli.lifecycle import run_command
from ci.cli.results import print_answer
from ci.local.doctor import Health, examine
from pipeline.rules.errors import EngineError

_STYLES = {Health.OK: "green", Health.MISSING: "yellow", Health.BROKEN: "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(*, json: options.Json = False, debug: options.Debug = False) -> None:
    """Say what is there and what is missing for building here, and what to do about each."""

    async def command() -> None:
        report = await examine()
        if json:
            print_answer(report.model_dump_json(indent=2))
        else:
            console = answer_console()
            for finding in report.findings:
                health = (finding.health, _STYLES[finding.health])
                print_verbatim(console, f"{finding.what}: ", health, f", {finding.found}")
                if finding.remedy:
                    print_verbatim(console, (f"    {finding.remedy}", "dim"))
        if not report.ready:
            msg = "Nothing here can build: there is neither a Dagger engine nor what the embedded one needs."
            raise EngineError(msg, hint="`make setup` installs what the embedded engine needs.")

    run_command(command, error_console(), debug=debug)
