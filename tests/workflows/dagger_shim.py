"""Stands for the Dagger CLI where no engine is available: `python -m tests.workflows.dagger_shim` takes its arguments.

It reads `dagger call …` and `dagger check` by what the module itself declares, runs the module in this process over the
embedded engine, and refuses what the module does not know, as the CLI does. `STAND_IN_REGISTRY` names the registry that
is published to instead of GHCR.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import anyio
import dagger
from dagger import dag
from dagger.mod._exceptions import FunctionError

from ci.engine.events import Event, OutputLine
from ci.local.base_image_mirrors import prepare_base_images
from ci.local.dagger_session import open_session
from ci.local.engine_choice import RUNNER_HOST, EngineKind
from ci.settings.images import read_images
from pipeline.module import BackendPipeline
from tests.pipeline.interface import cli_name

REGISTRY = "STAND_IN_REGISTRY"
_GLOBAL_FLAGS = ("--progress=plain", "--progress=dots", "-s", "--silent")


class UsageError(Exception):
    """The arguments are not what the Dagger CLI or the module takes."""


def parameters(owner: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a function of the module, by their names on the command line, with their types."""
    hints = get_type_hints(owner.__init__ if inspect.isclass(owner) else owner, include_extras=True)
    return {cli_name(name): hint for name, hint in hints.items() if name not in {"self", "return"}}


def take_flags(arguments: list[str], known: Mapping[str, Any]) -> dict[str, str]:
    """Take the flags off the front of the arguments.

    Raises:
        UsageError: A flag is not known, or its value is missing.
    """
    taken: dict[str, str] = {}
    while arguments and arguments[0].startswith("-"):
        name, equals, value = arguments.pop(0).removeprefix("--").partition("=")
        if name not in known:
            msg = f"unknown flag: --{name}"
            raise UsageError(msg)
        if not equals and bool in _alternatives(known[name]):
            value = "true"
        elif not equals:
            if not arguments:
                msg = f"flag needs an argument: --{name}"
                raise UsageError(msg)
            value = arguments.pop(0)
        taken[name] = value
    return taken


def function_named(owner: type, name: str) -> Callable[..., Any]:
    """Return the function of an object type.

    Raises:
        UsageError: There is none of that name.
    """
    for attribute, value in vars(owner).items():
        if hasattr(value, "__dagger_function__") and cli_name(attribute) == name:
            found: Callable[..., Any] = value
            return found
    msg = f'unknown command "{name}" for "dagger call"'
    raise UsageError(msg)


def checks(owner: type) -> Iterator[str]:
    """Name the functions that are checks."""
    for attribute, value in vars(owner).items():
        if hasattr(value, "__dagger_check__"):
            yield attribute


def _alternatives(hint: Any) -> tuple[Any, ...]:
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return get_args(bare) if isinstance(bare, UnionType) else (bare,)


def _value(hint: Any, text: str) -> Any:
    """Make what the module takes of what the command line says."""
    for kind in _alternatives(hint):
        if kind is dagger.Secret:
            source, _, name = text.partition(":")
            if source != "env" or name not in os.environ:
                msg = f"secret env var not found: {text!r}"
                raise UsageError(msg)
            return dag.set_secret(name, os.environ[name])
        if kind is str:
            return text
        if kind is bool:
            return text == "true"
        if inspect.isclass(kind) and issubclass(kind, Enum):
            return kind[text]
    msg = f"the stand-in cannot make {hint} of {text!r}"
    raise UsageError(msg)


def _module(flags: Mapping[str, str]) -> BackendPipeline:
    # Texts alone: what the engine makes of other types is a matter of `ci.settings`.
    settings = {name: each.value for name, each in read_images(Path.cwd())[0].settings("").items()}
    values: dict[str, Any] = {name: value for name, value in settings.items() if isinstance(value, str)}
    for name, hint in parameters(BackendPipeline).items():
        key = name.replace("-", "_")
        if dagger.Workspace in _alternatives(hint):
            values[key] = dag.current_workspace()
        elif name in flags:
            values[key] = _value(hint, flags[name])
    return BackendPipeline(**({"registry": os.environ[REGISTRY]} | values))


def _field(result: Any, name: str) -> Any:
    """Read a field of an object that a function returned; what the module returns has no functions of its own."""
    attribute = name.replace("-", "_")
    if not is_dataclass(result) or attribute not in {field.name for field in fields(result)}:
        msg = f'unknown command "{name}" for "dagger call"'
        raise UsageError(msg)
    return getattr(result, attribute)


async def _answer(result: Any, arguments: list[str]) -> str:
    """Follow the chain behind a function's result, down to a text or a file."""
    while arguments and not arguments[0].startswith("-"):
        result = _field(result, arguments.pop(0))
    if isinstance(result, dagger.File):
        if len(arguments) != 2 or arguments[0] != "-o":
            msg = "a file wants -o PATH, and nothing else"
            raise UsageError(msg)
        Path(arguments[1]).write_text(await result.contents(), encoding="utf-8")
        return f"Saved to {arguments[1]}"
    if arguments:
        msg = f"unexpected: {' '.join(arguments)}"
        raise UsageError(msg)
    return str(result)


async def _call(arguments: list[str], top: Path) -> None:
    flags = take_flags(arguments, parameters(BackendPipeline))
    if not arguments:
        msg = "a function is missing"
        raise UsageError(msg)
    function = function_named(BackendPipeline, arguments.pop(0))
    known = parameters(function)
    given = take_flags(arguments, known)
    async with _engine(top):
        values = {name.replace("-", "_"): _value(known[name], text) for name, text in given.items()}
        print(await _answer(await function(_module(flags), **values), arguments))  # noqa: T201 - the answer


async def _check(arguments: list[str], top: Path) -> None:
    if arguments:
        msg = f"unexpected: {' '.join(arguments)}"
        raise UsageError(msg)
    async with _engine(top):
        for name in checks(BackendPipeline):
            await getattr(_module({}), name)()
            _say(f"{cli_name(name)} OK")


@asynccontextmanager
async def _engine(top: Path) -> AsyncIterator[None]:
    """Open a session with the embedded engine, whose output is shown as the CLI shows a real one's."""
    mirrors = await prepare_base_images(top / "backend" / "Dockerfile", _say)
    async with open_session(EngineKind.EMBEDDED, _show, mirrors):
        yield


def _show(event: Event) -> None:
    if isinstance(event, OutputLine):
        _say(f"1   : | {event.text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what the CLI does


async def run(arguments: list[str], top: Path) -> int:
    """Do what the arguments say, and return the exit code of the CLI."""
    try:
        _look_for_engine()
        await _dispatch(arguments, top)
    except (UsageError, FunctionError) as error:
        _say(f"Error: {error}")
        return 1
    except Exception:  # noqa: BLE001 - the CLI ends every error like that
        traceback.print_exc()
        return 1
    return 0


def _look_for_engine() -> None:
    """Read where the engine is, as the CLI does: a variable that is set and empty names no engine."""
    host = os.environ.get(RUNNER_HOST)
    if host is not None and "://" not in host:
        msg = f"parse runner host {host!r}"
        raise UsageError(msg)
    _say(f"engine: {host or 'one of its own'}")


async def _dispatch(arguments: list[str], top: Path) -> None:
    while arguments and arguments[0] in _GLOBAL_FLAGS:
        arguments.pop(0)
    match arguments:
        case ["call", *rest]:
            await _call(rest, top)
        case ["check", *rest]:
            await _check(rest, top)
        case _:
            msg = f"the stand-in does not know: dagger {' '.join(arguments)}"
            raise UsageError(msg)


if __name__ == "__main__":
    sys.exit(anyio.run(run, sys.argv[1:], Path.cwd()))
