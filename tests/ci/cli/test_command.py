from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from ci.cli.command import command
from ci.cli.extra_options import DebugOptions
from pipeline.rules.errors import UsageError
from pipeline.rules.shared_options import Option


def parse_size(text: str) -> int:
    """Read a size such as `3k`."""
    if not text.endswith("k"):
        msg = f"Invalid size {text}."
        raise UsageError(msg)
    return int(text[:-1]) * 1000


@dataclass(frozen=True, kw_only=True)
class Shared:
    heading: ClassVar[str] = "Shared"

    first_name: Annotated[str, Option("Name")] = "Ada"
    size: Annotated[int | None, Option("Size", fallback="any", metavar="SIZE", parse=parse_size)] = None


@dataclass(frozen=True, kw_only=True)
class ShowCommand(Shared, DebugOptions):
    words: Annotated[list[str] | None, typer.Argument(help="Words.")] = None
    needed: Annotated[str, typer.Option(help="Needed.")]


SEEN: list[ShowCommand] = []


@pytest.fixture
def app() -> typer.Typer:
    SEEN.clear()
    app = typer.Typer()
    command(app)(show)
    return app


async def show(options: ShowCommand) -> None:
    """Show it."""
    SEEN.append(options)


def test_the_function_gets_its_options_as_one_object(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["a", "b", "--needed", "c", "--first-name", "Bo", "--size", "3k"]).exit_code == 0
    assert [ShowCommand(words=["a", "b"], needed="c", first_name="Bo", size=3000)] == SEEN


def test_an_option_has_its_default_and_its_variable(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["--needed", "c"]).exit_code == 0
    assert CliRunner().invoke(app, ["--needed", "c"], env={"LR_CI_FIRST_NAME": "Cy", "LR_CI_SIZE": "2k"}).exit_code == 0
    assert [ShowCommand(needed="c"), ShowCommand(needed="c", first_name="Cy", size=2000)] == SEEN


def test_a_value_that_cannot_be_read_is_the_users_mistake(app: typer.Typer) -> None:
    ended = CliRunner().invoke(app, ["--needed", "c", "--size", "3"])
    assert (ended.exit_code, ended.stderr) == (2, "error: Invalid size 3.\n")


def test_an_option_without_a_default_is_required(app: typer.Typer) -> None:
    assert "Missing option '--needed'" in CliRunner().invoke(app, []).stderr


def test_the_help_is_made_of_the_descriptions(app: typer.Typer) -> None:
    shown = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout.split())
    assert "Show it." in shown
    assert "Name. [env var: LR_CI_FIRST_NAME] [default: Ada]" in shown
    assert "SIZE Size. [env var: LR_CI_SIZE] [default: (any)]" in shown
