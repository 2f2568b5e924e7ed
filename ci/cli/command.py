"""Turns a function of one options model into a command: each field of the model becomes an option."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer

from ci.cli.console import error_console
from ci.cli.extra_options import DebugOptions
from ci.cli.invocation import Invocation
from ci.cli.lifecycle import run_command
from pipeline.rules.shared_options import Option, environment_variable

Options = TypeVar("Options", bound=DebugOptions)
Command = Callable[[Any], Awaitable[int | None]]

_GIVEN = {"COMMANDLINE", "ENVIRONMENT"}

# Defaults that only the command line has.
_FALLBACKS = {"token": "env:GITHUB_TOKEN for ghcr.io if it is set, then the login of docker login"}


def command(app: typer.Typer, name: str | None = None) -> Callable[[Command], Command]:
    """Add a function to an application as a command.

    The function takes one argument, `options`: a frozen dataclass; or `invocation`, an `Invocation` of one. A field of
    it is annotated with the `Option` that the module shares, or with Typer's own description of an option or argument
    that only `lr-ci` has.

    Args:
        app: The application.
        name: The command's name; the function's by default.
    """

    def add(function: Command) -> Command:
        hints = get_type_hints(function)
        whole = "invocation" in hints
        model: type[DebugOptions] = get_args(hints["invocation"])[0] if whole else hints["options"]

        def run(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 - the model says which
            invocation = _invocation(model, function.__name__, context, values)
            run_command(
                lambda: function(invocation if whole else invocation.options()), error_console(), debug=values["debug"]
            )

        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [context, *_parameters(model)]
        run.__name__ = function.__name__
        run.__doc__ = function.__doc__
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # as `inspect` reads it
        app.command(name)(run)
        return function

    return add


def _invocation(
    model: type[Options], function: str, context: typer.Context, values: Mapping[str, Any]
) -> Invocation[Options]:
    given = {
        name: f"--{name.replace('_', '-')}" if source.name == "COMMANDLINE" else environment_variable(name)
        for name in values
        if (source := context.get_parameter_source(name)) is not None and source.name in _GIVEN
    }
    return Invocation(model, function, values, given, image=context.find_root().obj)


def _parameters(model: type[DebugOptions]) -> Iterator[inspect.Parameter]:
    """Describe the fields of a model as Typer reads them: its own first, then those of its bases in order."""
    hints = get_type_hints(model, include_extras=True)
    left = {field.name: field for field in fields(model)}
    for group in model.__mro__:
        for name in [name for name in inspect.get_annotations(group) if name in left]:
            default = left.pop(name).default
            if _text_type(hints[name]) is not None:
                default = str(default) if default else None
            yield inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if default is MISSING else default,
                annotation=_described(hints[name], name, group),
            )


def _text_type(hint: Any) -> Any:  # noqa: ANN401 - annotations have no common type
    """Return the type on the command line of an option that `Option` parses; None for any other."""
    note = get_args(hint)[1]
    if isinstance(note, Option) and note.parse is not None:
        return str | None
    return list[str] | None if isinstance(note, Option) and note.parse_all is not None else None


def _described(hint: Any, name: str, group: type) -> Any:  # noqa: ANN401 - annotations have no common type
    kind, note = get_args(hint)
    if not isinstance(note, Option):
        return hint
    return Annotated[
        _text_type(hint) or kind,
        typer.Option(
            f"--{name.replace('_', '-')}",
            help=f"{note.help}.",
            envvar=environment_variable(name),
            metavar=note.metavar or None,
            show_default=note.fallback or _FALLBACKS.get(name) or True,
            case_sensitive=False,
            rich_help_panel=getattr(group, "heading", None),
        ),
    ]
