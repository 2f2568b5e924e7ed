"""The options that only `lr-ci` has, and the settings of a run from all of a command's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

import typer

from ci.local.engine_choice import EngineChoice
from ci.local.run_settings import RunSettings
from ci.system.secret_source import SecretSource, SecretSourceError, parse_secret_source
from pipeline.rules.errors import UsageError
from pipeline.rules.shared_options import CommitOptions, ImageOptions, RunRequest, environment_variable

IMAGE_HELP = "Image of the repository to take: the name of its toolchain in dagger.json."


@dataclass(frozen=True, kw_only=True)
class DebugOptions:
    """The options of every command."""

    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show the engine's whole output, and tracebacks of errors.",
            envvar=environment_variable("debug"),
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class CommonOptions(DebugOptions):
    """The options of every command with an answer."""

    json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False


@dataclass(frozen=True, kw_only=True)
class ImageChoice:
    """Which image of a repository is meant; the options that are not given come from its files."""

    image: Annotated[
        str | None,
        typer.Option(
            help=IMAGE_HELP,
            metavar="NAME",
            envvar=environment_variable("image"),
            rich_help_panel=ImageOptions.heading,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Which engine is used."""

    heading: ClassVar[str] = "Engine"

    engine: Annotated[
        EngineChoice,
        typer.Option(
            help="Engine that builds and runs images; auto: a Dagger engine if there is one.",
            envvar=environment_variable("engine"),
            rich_help_panel=heading,
        ),
    ] = EngineChoice.AUTO


def run_settings(options: CommitOptions) -> RunSettings:
    """Return the settings of a run; an option that the command does not have keeps its default.

    Raises:
        UsageError: The place of a secret is not valid.
    """
    given: dict[str, Any] = {field.name: getattr(options, field.name) for field in fields(options)}
    if (token := given.get("token")) is not None:
        given["token"] = _secret_source("--token", token)
    secrets = given.get("build_secret", ())
    given["build_secrets"] = {name: _secret_source("--build-secret", place) for name, place in secrets}
    given["build_secret"] = tuple((name, "") for name, _ in secrets)  # the place may be the secret itself
    return RunSettings(request=RunRequest(**_fields_of(RunRequest, given)), **_fields_of(RunSettings, given))


def _secret_source(option: str, text: str) -> SecretSource:
    try:
        return parse_secret_source(text)
    except SecretSourceError as error:
        msg = f"{option}: {error.message}"
        raise UsageError(msg, hint=error.hint) from None


def _fields_of(model: type[RunRequest | RunSettings], given: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: given[field.name] for field in fields(model) if field.name in given}
