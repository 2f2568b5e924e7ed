"""`lr-ci config`: the values of the options, with where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from ci.cli.command import command
from ci.cli.extra_options import CommonOptions, ImageChoice
from ci.cli.invocation import Invocation, Origin
from ci.cli.printing import print_answer
from ci.settings.arguments import FUNCTIONS
from ci.settings.images import Image
from ci.settings.report import ConfigReport, ConfigValue, ImageConfig, ValueSource
from ci.system.secret_source import SecretSourceError, parse_secret_source
from pipeline.rules.shared_options import (
    SHARED,
    AccessOptions,
    BuildOptions,
    ImageOptions,
    PublishOptions,
    VerifyOptions,
)

_COMMANDS = ("plan", "build_and_push", "verify")
_NOT_SHOWN = "(not shown)"


@dataclass(frozen=True, kw_only=True)
class ConfigCommand(
    BuildOptions, ImageOptions, ImageChoice, PublishOptions, AccessOptions, VerifyOptions, CommonOptions
):
    """The options of `lr-ci config`: those that files can set."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(app)(config)


async def config(invocation: Invocation[ConfigCommand]) -> None:
    """Show the value of each option, and the file and key that it comes from.

    A flag wins over an environment variable, and that over the files dagger.json and .env. Options of a single command
    are shown if they are set. Of a secret, only the place that it is in is shown.
    """
    report = ConfigReport(
        images=tuple(
            ImageConfig(image=image.name, values=tuple(_values(invocation, image))) for image in invocation.images()
        )
    )
    as_json = invocation.values["json"]
    print_answer(report.model_dump_json(indent=2) if as_json else "\n\n".join(map(_text, report.images)))


def _values(invocation: Invocation[ConfigCommand], image: Image) -> Iterator[ConfigValue]:
    of_commands = {name for function in FUNCTIONS for name in FUNCTIONS[function]}
    origins = invocation.origins(image)
    for name, origin in origins.items():
        if name in SHARED and name not in of_commands:
            yield _value(name, None, invocation.values[name], origin)
    for function in _COMMANDS:
        invocation.options(image, function)  # refuses what is not valid
        for name, origin in invocation.origins(image, function).items():
            if name in FUNCTIONS[function] and origin != Origin():
                yield _value(name, function.replace("_", "-"), invocation.values[name], origin)


def _value(name: str, command: str | None, given: Any, origin: Origin) -> ConfigValue:  # noqa: ANN401 - any option's
    value, place = given, None
    if origin.setting is not None:
        value, place = origin.setting.value, origin.setting.place
        source, key = ValueSource.FILE, origin.setting.place.key
    elif origin.given:
        source = ValueSource.FLAG if origin.given.startswith("-") else ValueSource.ENVIRONMENT
        key = origin.given
    else:
        source, key = ValueSource.DEFAULT, None
    return ConfigValue(
        option=f"--{name.replace('_', '-')}",
        command=command,
        value=_shown(name, value),
        source=source,
        key=key,
        file=None if place is None else place.shown_file,
    )


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - the value of any option
    if name == "token" and value is not None:
        return _reference(value)
    if name == "build_secret" and value:
        pairs = (text.partition("=") for text in value)
        return tuple(f"{secret}={_reference(place)}" if equals else _NOT_SHOWN for secret, equals, place in pairs)
    if isinstance(value, list | tuple):
        return tuple(value) or None
    return None if value == "" else value


def _reference(text: str) -> str:
    try:
        return parse_secret_source(text).reference
    except SecretSourceError:
        return _NOT_SHOWN


def _text(image: ImageConfig) -> str:
    rows = [
        (
            f"{'' if each.command is None else f'{each.command} '}{each.option}",
            _in_one_line(each),
            "default" if each.key is None else f"{each.file}, {each.key}" if each.file else each.key,
        )
        for each in image.values
    ]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{option:<{first}}  {value:<{second}}  {place}" for option, value, place in rows]
    return "\n".join(lines if image.image is None else [f"{image.image}:", *lines])


def _in_one_line(value: ConfigValue) -> str:
    match value.value:
        case None:
            name = value.option.removeprefix("--").replace("-", "_")
            return f"({SHARED[name].fallback})" if SHARED[name].fallback else "-"
        case bool(flag):
            return str(flag).lower()
        case tuple(items):
            return ", ".join(items)
        case other:
            return str(other)
