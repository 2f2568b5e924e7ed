from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ci.cli.app import app
from ci.cli.build_commands import BuildAndPushCommand
from ci.cli.extra_options import run_settings
from ci.local import local_run
from ci.local.engine_choice import EngineChoice
from ci.local.local_run import Run
from ci.local.run_settings import RunSettings
from ci.system.secret_source import SecretKind, SecretSource
from pipeline.rules.errors import UsageError
from pipeline.rules.named_values import parse_build_secrets
from pipeline.rules.shared_options import SHARED, RunRequest, VerifyOptions, options_of
from tests.ci.cli.command import InProcess
from tests.pipeline.interface import registered


def commands() -> dict[str, Any]:
    """Return every command by its whole name; what Typer makes of them has no public type."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for part in command.list_commands(None) if hasattr(command, "list_commands") else ():
            yield from below(f"{name} {part}", command.get_command(None, part))

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
        "lr-ci config",
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
        "Exit codes: 0 success; 1 internal error; 2 invalid usage, ref, commit, name or directory; "
        "3 build failed; 4 access denied; 5 registry, network or engine failed; 6 refused by a guard." in text
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


def settings(**given: Any) -> RunSettings:
    return run_settings(BuildAndPushCommand(**given))


def test_settings_hold_where_a_token_is_and_not_what_it_is() -> None:
    found = settings(source="api", token="env:GITHUB_TOKEN")
    assert found.token == SecretSource(kind=SecretKind.ENV, place="GITHUB_TOKEN")
    assert (found.request.source, found.engine, found.folder) == ("api", EngineChoice.AUTO, Path.cwd())


def test_settings_hold_where_build_secrets_are_and_the_request_only_their_ids() -> None:
    found = settings(build_secret=parse_build_secrets(["pip=env:PIP_TOKEN", "npm=file:/run/npm"]))
    assert found.build_secrets == {
        "pip": SecretSource(kind=SecretKind.ENV, place="PIP_TOKEN"),
        "npm": SecretSource(kind=SecretKind.FILE, place="/run/npm"),
    }
    assert found.request.build_secret == (("npm", ""), ("pip", ""))


@pytest.mark.parametrize("given", ["hunter2", "hunter2==", "pip=hunter2", "p/p=env:X"])
def test_an_invalid_build_secret_source_is_refused_and_not_shown(in_process: InProcess, given: str) -> None:
    run = in_process("build", "--build-secret", given)
    assert run.exit_code == 2
    assert "secret" in run.complaint[0]
    assert "hunter2" not in run.stderr


def test_options_that_can_be_repeated_are_read_from_the_line_or_a_variable(
    monkeypatch: pytest.MonkeyPatch, in_process: InProcess
) -> None:
    seen: list[RunRequest] = []

    async def prepare(settings: RunSettings, *, builds: bool = True) -> Run:
        del builds
        seen.append(settings.request)
        msg = "enough"
        raise UsageError(msg)

    monkeypatch.setattr(local_run, "prepare_run", prepare)
    in_process(
        "build", "--build-arg", "B=2", "--build-arg", "A=1=1, and more", "--label", "x.y=", "--annotation", "z=w"
    )
    monkeypatch.setenv("LR_CI_BUILD_ARG", "A=1 B=2")
    in_process("shell")
    assert (seen[0].build_arg, seen[0].label, seen[0].annotation) == (
        (("A", "1=1, and more"), ("B", "2")),
        (("x.y", ""),),
        (("z", "w"),),
    )
    assert (seen[1].build_arg, seen[1].label) == ((("A", "1"), ("B", "2")), ())


@pytest.mark.parametrize("option", ["--build-arg", "--label", "--annotation"])
@pytest.mark.parametrize("given", ["", "NAME", "=value", "a b=value"])
def test_a_named_value_without_a_name_or_value_is_refused(in_process: InProcess, option: str, given: str) -> None:
    run = in_process("build", option, given)
    assert run.exit_code == 2
    assert "expected NAME=VALUE" in run.complaint[0]


def test_an_invalid_token_source_is_refused() -> None:
    with pytest.raises(UsageError, match="--token: Invalid secret source"):
        settings(token="ghp_0123456789")


@pytest.mark.parametrize("arguments", [("--command", "'"), ("--command", ""), ("--path", "up"), ("--port", "0")])
def test_an_invalid_check_is_refused_before_anything_is_read(in_process: InProcess, arguments: tuple[str, str]) -> None:
    run = in_process("verify", *arguments)
    assert run.exit_code == 2
    assert f" {arguments[0].removeprefix('--')} " in run.complaint[0]


@pytest.mark.parametrize("platform", ["foo", "linux", "linux/", "Linux/AMD64", "linux/amd64;", "linux/arm64/8"])
def test_an_invalid_platform_is_refused(in_process: InProcess, platform: str) -> None:
    run = in_process("build", "--platform", platform)
    assert run.exit_code == 2
    assert run.complaint[0].startswith("error: Invalid platform")


def test_a_platform_is_requested(monkeypatch: pytest.MonkeyPatch, in_process: InProcess) -> None:
    seen: list[str] = []

    async def prepare(settings: RunSettings, *, builds: bool = True) -> Run:
        del builds
        seen.append(str(settings.request.platform))
        msg = "enough"
        raise UsageError(msg)

    monkeypatch.setattr(local_run, "prepare_run", prepare)
    in_process("build", "--platform", "linux/arm64")
    in_process("build", "--platform", "linux/arm64, linux/amd64,linux/arm64")
    in_process("build")
    assert seen == ["linux/arm64", "linux/amd64,linux/arm64", "linux/amd64"]


# What only one of both has: the module reads the repository itself and takes a Dagger service.
MODULE_ONLY = {"build-secret-id", "registry-service"}


async def test_the_command_line_and_the_module_describe_an_option_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = re.findall(r"--([a-z-]+): .*\n +(.+)\n", await registered(monkeypatch))
    in_module = {name.replace("-", "_"): text for name, text in listing if name not in MODULE_ONLY}
    on_command_line = {
        parameter.name: parameter.help.removesuffix(".")
        for command in COMMANDS.values()
        for parameter in command.params
        if parameter.name in SHARED and parameter.rich_help_panel is not None
    }
    assert set(in_module) == set(on_command_line) == set(SHARED)
    assert {name for name, text in in_module.items() if not text.startswith(on_command_line[name])} == set()


@pytest.mark.parametrize("name", SHARED)
def test_the_help_shows_a_description_as_it_is_written(in_process: InProcess, name: str) -> None:
    owners = {"verify": options_of(VerifyOptions), "plan": {"online"}}
    command = next((command for command, names in owners.items() if name in names), "build-and-push")
    shown = in_process(command, "--help").stdout
    words = [word for word in shown.split() if word != "│"]
    assert f" {SHARED[name].help}. [env var: LR_CI_{name.upper()}]" in " ".join(words)


def test_what_is_given_counts_more_than_a_variable(monkeypatch: pytest.MonkeyPatch, in_process: InProcess) -> None:
    for name, value in {
        "OWNER": "acme",
        "NAME": "links",
        "REF": "refs/tags/v1.0.0",
        "SHA": "9" * 40,
        "LATEST": "never",
    }.items():
        monkeypatch.setenv(f"LR_CI_{name}", value)
    assert in_process("plan").stdout.splitlines() == [
        "ghcr.io/acme/links:sha-9999999",
        "ghcr.io/acme/links:v1.0.0",
    ]
    assert in_process("plan", "--ref", "refs/heads/x").stdout.splitlines()[1] == "ghcr.io/acme/links:x"
