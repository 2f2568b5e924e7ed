"""Each field that the engine serves is reached: by the product, or by a flow that is named here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from graphql import GraphQLObjectType, build_schema

from ci.engine.protocol.schema import SCHEMA
from ci.engine.session.resolver_registration import RESOLVERS

ROOT = Path(__file__).parents[3]

# What every SDK sends by itself, whatever is called.
PROTOCOL = {"id", "sync", "node", "version"}

# Fields that no code of the product calls, by the flow that needs them.
FLOWS = {
    "`dagger call` and the tests' stand-in for it turn arguments into objects": {"Query.secret"},
    "`dagger call … report -o FILE` writes a file": {"File.export"},
    "`dagger call build …` and `lr-ci shell` look around in an image": {
        "Container.rootfs",
        "Container.directory",
        "Container.file",
        "Container.stderr",
        "Container.entrypoint",
        "Container.defaultArgs",
        "Directory.entries",
    },
    "a client of `lr-ci session` asks what the engine runs on": {"Query.defaultPlatform"},
    "a module's constructor takes the caller's repository": {"Query.currentWorkspace", "Workspace.address"},
}

# Names that the SDK changes, as they are Python's.
RENAMED = {"from": "from_"}


def called_in_product() -> set[str]:
    """Return the names of all methods that `pipeline/` and `ci/local/` call."""
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "ci" / "local").glob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    calls = [node.func for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {function.attr for function in calls if isinstance(function, ast.Attribute)}


def sdk_name(field: str) -> str:
    """Return the name of the SDK's method for a field."""
    name = field.partition(".")[2]
    return RENAMED.get(name, re.sub(r"(?<=[a-z0-9])[A-Z]", lambda hump: "_" + hump.group().lower(), name))


def fields_of(schema: object) -> set[str]:
    types = getattr(schema, "type_map", {})
    return {
        f"{name}.{field}"
        for name, kind in types.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
        for field in kind.fields
        if field not in PROTOCOL
    }


def unreached(fields: set[str]) -> set[str]:
    named = {field for flow in FLOWS.values() for field in flow}
    called = called_in_product()
    return {field for field in fields - named if sdk_name(field) not in called}


def test_each_field_is_reached() -> None:
    assert unreached(fields_of(SCHEMA)) == set()


@pytest.mark.parametrize("field", ["asService", "withoutLabel"])
def test_a_field_that_nobody_reaches_is_found(field: str) -> None:
    schema = build_schema(f"type Query {{ version: String container: Container }} type Container {{ {field}: String }}")
    assert unreached(fields_of(schema)) == {f"Container.{field}"}


def test_a_flow_names_only_what_is_served_and_not_reached_otherwise() -> None:
    named = {field for flow in FLOWS.values() for field in flow}
    assert named <= fields_of(SCHEMA)


def test_each_field_has_its_resolver_and_each_resolver_its_field() -> None:
    fields = fields_of(SCHEMA)
    assert {field for field in fields if field not in RESOLVERS} == set()
    assert set(RESOLVERS) - fields == {"Query.version"}
