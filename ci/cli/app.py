"""Puts the commands of `lr-ci` together."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group
from typing_extensions import override

from ci.cli import build_commands, config_command, doctor_command, session_command
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


def _deferred(module: str) -> type[TyperGroup]:
    """Return a class for a group of commands whose module is imported when one of them is looked for."""

    class Group(TyperGroup):
        @override
        def list_commands(self, ctx: Any) -> list[str]:
            self._import()
            return super().list_commands(ctx)

        @override
        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            self._import()
            return super().get_command(ctx, cmd_name)

        def _import(self) -> None:
            self.commands = get_group(import_module(module).app).commands

    return Group


build_commands.register(app)
config_command.register(app)
doctor_command.register(app)
session_command.register(app)
app.add_typer(
    typer.Typer(cls=_deferred("ci.cli.registry_commands")),
    name="registry",
    help="Start, stop and inspect the local registry (Debian's docker-registry on the loopback address).",
)
app.add_typer(
    typer.Typer(cls=_deferred("ci.cli.github_commands")),
    name="github",
    help="Report a run to GitHub: step outputs, job summary and deployment issues.",
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - Typer passes it by position
    if wanted:
        from importlib import metadata  # noqa: PLC0415 - slow, and used here alone

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
