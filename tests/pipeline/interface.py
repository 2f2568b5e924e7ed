"""Renders what the module registers with an engine, as text that a person can read and a test can compare.

The SDK's own registration runs, offline: its last call, which would send the query, hands over the query instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import dagger
import pytest
from dagger.client._core import Field
from dagger.client.base import Type

from pipeline.module import BackendPipeline

KINDS = {
    "STRING_KIND": "str",
    "INTEGER_KIND": "int",
    "FLOAT_KIND": "float",
    "BOOLEAN_KIND": "bool",
    "VOID_KIND": "None",
}


async def registered(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the listing of every type, function and argument that the module registers."""
    captured: list[dagger.Module] = []

    async def capture(self: dagger.Module) -> str:
        captured.append(self)
        return "id"

    module = BackendPipeline.__dagger_module__  # type: ignore[attr-defined] # object_type adds it
    with monkeypatch.context() as patch:
        patch.setattr(dagger.Module, "id", capture)
        patch.setattr(module, "_main_name", "BackendPipeline")  # the engine says it by an environment variable
        patch.setattr(module, "_main", module.get_object("BackendPipeline"))
        assert await module._typedefs() == "id"
    (sent,) = captured
    return "\n".join(_module(sent)) + "\n"


def cli_name(name: str) -> str:
    """Spell a registered name as the command line does: `build_and_push` is `build-and-push`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()


def _selections(thing: Type) -> list[Field]:
    return list(thing._ctx.selections)


def _module(module: dagger.Module) -> Iterator[str]:
    for selection in _selections(module)[1:]:
        match selection.name:
            case "withDescription":
                yield f"module: {selection.args['description']}"
            case "withObject":
                yield from _object(selection.args["object"])
            case "withEnum":
                yield from _enum(selection.args["enum"])
            case other:
                pytest.fail(f"the listing does not know {other}")


def _object(definition: dagger.TypeDef) -> Iterator[str]:
    for selection in _selections(definition)[1:]:
        args = selection.args
        match selection.name:
            case "withObject":
                yield f"\nobject {args['name']}: {_line(args.get('description'))}"
            case "withField":
                yield f"  field {cli_name(args['name'])}: {_type(args['typeDef'])}"
                yield f"    {_line(args.get('description'))}"
            case "withConstructor":
                yield from _function(args["function"], "constructor")
            case "withFunction":
                yield from _function(args["function"], "function")
            case other:
                pytest.fail(f"the listing does not know {other}")


def _function(function: dagger.Function, what: str) -> Iterator[str]:
    first, *rest = _selections(function)
    name = f" {cli_name(first.args['name'])}" if first.args["name"] else ""
    cache, doc, arguments, is_check = "default (7 days)", "", [], False
    for selection in rest:
        match selection.name:
            case "withDescription":
                doc = _line(selection.args["description"])
            case "withCachePolicy":
                assert "timeToLive" not in selection.args
                cache = str(selection.args["policy"])
            case "withArg":
                arguments += [*_argument(selection.args)]
            case "withCheck":
                is_check = True
            case other:
                pytest.fail(f"the listing does not know {other}")
    yield f"  {what}{name} -> {_type(first.args['returnType'])}{' (check)' if is_check else ''}"
    if what == "function":
        yield f"    cache: {cache}"
    yield f"    {doc}"
    yield from arguments


def _argument(args: dict[str, Any]) -> Iterator[str]:
    known = {"name", "typeDef", "description", "defaultValue", "defaultPath", "ignore"}
    unknown = {name for name, value in args.items() if value is not None} - known
    assert not unknown, unknown
    text = f"    --{cli_name(args['name'])}: {_type(args['typeDef'])}"
    if args.get("defaultValue") is not None:
        text += f" = {json.dumps(json.loads(args['defaultValue']))}"
    # The engine fills in a workspace: it is no flag.
    yield text.replace("    --", "    ", 1) if text.endswith(": Workspace") else text
    yield f"      {_line(args.get('description'))}"
    if args.get("defaultPath"):
        yield f"      default path: {args['defaultPath']}"
    if args.get("ignore"):
        yield f"      ignore: {' '.join(args['ignore'])}"


def _type(definition: dagger.TypeDef) -> str:
    name, optional = "", False
    for selection in _selections(definition)[1:]:
        match selection.name:
            case "withKind":
                name = KINDS[str(selection.args["kind"])]
            case "withListOf":
                name = f"list[{_type(selection.args['elementType'])}]"
            case "withObject" | "withEnum" | "withScalar":
                name = selection.args["name"]
            case "withOptional":
                optional = optional or selection.args["optional"]
            case other:
                pytest.fail(f"the listing does not know {other}")
    return f"{name} (optional)" if optional else name


def _enum(definition: dagger.TypeDef) -> Iterator[str]:
    for selection in _selections(definition)[1:]:
        args = selection.args
        match selection.name:
            case "withEnum":
                yield f"\nenum {args['name']}: {_line(args.get('description'))}"
            case "withEnumMember":
                yield f"  {args['name']} = {args['value']}: {_line(args.get('description'))}"
            case other:
                pytest.fail(f"the listing does not know {other}")


def _line(description: str | None) -> str:
    return " ".join((description or "(no description)").split())
