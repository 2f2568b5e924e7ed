"""Puts the commands of `lr-ci` together."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from ci.cli import build_commands, config_command, doctor_command, github_commands, registry_commands, session_command
from ci.cli.console import error_console, print_verbatim
from ci.cli.extra_options import IMAGE_HELP
from pipeline.rules.exit_codes import ExitCode
from pipeline.rules.text import one_line

app = typer.Typer(
    name="lr-ci",
    help="Build the image of this repository, publish it by the tagging rules, and print its digest.",
    epilog=f"Exit codes: {'; '.join(f'{code.value} {code.meaning}' for code in ExitCode)}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
build_commands.register(app)
config_command.register(app)
doctor_command.register(app)
session_command.register(app)
app.add_typer(registry_commands.app, name="registry")
app.add_typer(github_commands.app, name="github")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - Typer passes it by position
    if wanted:
        typer.echo(f"lr-ci {metadata.version('backend-pipeline')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=lambda value: _show_version(wanted=value)
        ),
    ] = False,
    image: Annotated[
        str | None,
        typer.Option(help=IMAGE_HELP, metavar="NAME"),
    ] = None,
) -> None:
    """Build the image of this repository, publish it by the tagging rules, and print its digest."""
    del version
    context.obj = image


def run() -> None:
    """Run the command line and exit with its exit code."""
    try:
        answer = app(prog_name="lr-ci", standalone_mode=False)
    except typer.TyperException as error:
        sys.exit(_refuse(error))
    sys.exit(answer if isinstance(answer, int) else 0)


def _refuse(error: typer.TyperException) -> int:
    """Print which argument is invalid, in two lines, and return the exit code."""
    problem = one_line(error.format_message())
    if not problem:
        return error.exit_code  # without arguments, the help was shown
    context = getattr(error, "ctx", None)
    command = "lr-ci" if context is None else context.command_path
    print_verbatim(error_console(), (f"error: {problem}\nTry `{command} --help`.", "red"))
    return error.exit_code
