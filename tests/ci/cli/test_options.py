from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ci.cli.app import app
from ci.cli.options import expectation, run_settings
from ci.local.engine_choice import EngineChoice
from ci.system.secret_source import SecretKind, SecretSource
from pipeline.rules.errors import UsageError
from pipeline.rules.planning import RunRequest
from tests.ci.cli.command import InProcess


def commands() -> dict[str, Any]:
    """Return every command by its whole name; what Typer makes of them has no public type."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for part, inner in getattr(command, "commands", {}).items():
            yield from below(f"{name} {part}", inner)

    return dict(below("lr-ci", typer.main.get_command(app)))


COMMANDS = commands()


def test_the_commands_are_these() -> None:
    assert {name for name in COMMANDS if not name.startswith("lr-ci github")} == {
        "lr-ci",
        "lr-ci plan",
        "lr-ci build",
        "lr-ci build-and-push",
        "lr-ci verify",
        "lr-ci shell",
        "lr-ci doctor",
        "lr-ci session",
        "lr-ci registry",
        "lr-ci registry up",
        "lr-ci registry down",
        "lr-ci registry status",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_each_of_its_options_says_what_it_does(name: str) -> None:
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{name}: {parameter.name}"
        assert parameter.help.endswith("."), f"{name}: {parameter.name}"


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(in_process: InProcess, name: str, flag: str) -> None:
    run = in_process(*name.split()[1:], flag)
    assert (run.exit_code, run.stderr) == (0, "")
    assert f"Usage: {name}" in run.stdout


def test_an_option_that_several_commands_have_is_described_alike() -> None:
    described: dict[str, set[str]] = {}
    for name, command in COMMANDS.items():
        if name not in {"lr-ci registry up", "lr-ci verify"} and not name.startswith("lr-ci github"):
            for parameter in command.params:
                described.setdefault(parameter.name, set()).add(parameter.help)
    assert {name: texts for name, texts in described.items() if len(texts) > 1} == {}


def test_the_help_says_what_the_exit_codes_mean(in_process: InProcess) -> None:
    text = " ".join(in_process("--help").stdout.split())
    assert (
        "Exit codes: 0 done, 1 a bug of ours, 2 bad usage or ref, 3 the build failed, 4 not allowed, "
        "5 the registry or network failed, 6 a guard refused." in text
    )


def test_without_a_command_the_help_is_shown(in_process: InProcess) -> None:
    run = in_process()
    assert (run.exit_code, run.stderr) == (2, "")
    assert "build-and-push" in run.stdout


def test_the_version_is_the_packages(in_process: InProcess) -> None:
    run = in_process("--version")
    assert (run.exit_code, run.stdout) == (0, f"lr-ci {metadata.version('backend-pipeline')}\n")
    assert re.fullmatch(r"lr-ci \d+\.\d+\.\d+\n", run.stdout)


def test_no_option_takes_a_secret_itself() -> None:
    for name, command in COMMANDS.items():
        named = {parameter.name for parameter in command.params}
        assert not named & {"password", "secret", "github_token"}, name
        assert all(parameter.metavar == "PLACE" for parameter in command.params if parameter.name == "token"), name


def test_settings_hold_where_a_token_is_and_not_what_it_is() -> None:
    settings = run_settings(RunRequest(), source=Path("api"), dockerfile="Dockerfile", token="env:GITHUB_TOKEN")
    assert settings.token == SecretSource(kind=SecretKind.ENV, place="GITHUB_TOKEN")
    assert (settings.source, settings.engine, settings.folder) == (Path("api"), EngineChoice.AUTO, Path.cwd())


def test_a_token_that_is_no_place_is_refused() -> None:
    with pytest.raises(UsageError, match="--token: Invalid secret source"):
        run_settings(RunRequest(), source=None, dockerfile="Dockerfile", token="ghp_0123456789")


@pytest.mark.parametrize(
    ("command", "path", "words"),
    [
        ("", "/up", "is empty"),
        ("  ", "/up", "is empty"),
        ("'", "/up", "cannot be read"),
        ("true", "up", "with a slash"),
    ],
)
def test_an_expectation_that_cannot_be_meant_is_refused(command: str, path: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        expectation(command, path, 3000)


def test_a_command_is_split_as_a_shell_would() -> None:
    assert expectation("sh -c 'echo a b'", "/", 80).command == ("sh", "-c", "echo a b")


@pytest.mark.parametrize("platform", ["foo", "linux", "linux/", "Linux/AMD64", "linux/amd64 ", "linux/arm64/8"])
def test_a_platform_that_is_none_is_refused(platform: str) -> None:
    with pytest.raises(UsageError, match="is none"):
        run_settings(RunRequest(), source=None, dockerfile="Dockerfile", platform=platform)
