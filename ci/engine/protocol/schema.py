"""The schema that is served, and the execution of queries on a session."""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeAlias

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLID,
    GraphQLList,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    execute,
    get_named_type,
    get_nullable_type,
    parse,
    validate,
    visit,
)
from graphql.execution import ExecutionResult

from ci.engine import resolvers  # noqa: F401 - registers the resolvers
from ci.engine.errors import EmbeddedEngineError, NotServedError
from ci.engine.session.descriptions import ITEM, Description
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session

SCHEMA: GraphQLSchema = build_schema(Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"))

_LOGGER = logging.getLogger(__name__)
_Info: TypeAlias = GraphQLResolveInfo[Session]


class _Refusals(Visitor):
    """Collects the fields and arguments of a query that are not in the schema."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types
        self.errors: list[GraphQLError] = []

    def enter_field(self, node: FieldNode, *_: object) -> None:
        parent = self._types.get_parent_type()
        if parent is None:
            return
        name = f"{parent.name}.{node.name.value}"
        definition = self._types.get_field_def()
        if definition is None:
            self._refuse(name, node)
            return
        for argument in node.arguments or ():
            if argument.name.value not in definition.args:
                self._refuse(f"{name}({argument.name.value}:)", argument)

    def _refuse(self, name: str, node: Any) -> None:  # noqa: ANN401 - any node of the query
        self.errors.append(GraphQLError(NotServedError(name).message, node))


async def run_query(session: Session, query: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer one GraphQL request.

    Args:
        session: The session that it belongs to.
        query: `query`, and optionally `variables` and `operationName`, as in GraphQL over HTTP.

    Returns:
        The response: `data`, `errors`, or both. It contains no secret, except by `plaintext`.
    """
    try:
        document = parse(str(query.get("query", "")), max_tokens=200_000)
        errors = _refused(document) or validate(SCHEMA, document)
    except GraphQLError as error:
        errors = [error]
    except RecursionError:
        errors = [GraphQLError("the query is nested too deeply")]
    if errors:
        return {"errors": [_formatted(session, error) for error in errors]}
    outcome = execute(
        SCHEMA,
        document,
        context_value=session,
        variable_values=query.get("variables"),
        operation_name=query.get("operationName"),
        field_resolver=_resolve,
        type_resolver=_type_of,
    )
    result = outcome if isinstance(outcome, ExecutionResult) else await outcome
    response: dict[str, Any] = {"data": result.data}
    if result.errors:
        response["errors"] = [_formatted(session, error) for error in result.errors]
    return response


def _refused(document: DocumentNode) -> list[GraphQLError]:
    types = TypeInfo(SCHEMA)
    refusals = _Refusals(types)
    visit(document, TypeInfoVisitor(types, refusals))
    return refusals.errors


async def _resolve(source: Description | None, info: _Info, /, **args: object) -> object:
    session = info.context
    field = f"{info.parent_type.name}.{info.field_name}"
    if source is not None and info.field_name == "id":
        return source.id
    if field == "Query.node":
        return session.find(str(args["id"]))
    values = {name: _value(session, info, name, value) for name, value in args.items()}
    if values.pop("noCache", False):
        values["nonce"] = token_hex(16)
    returned = get_nullable_type(info.return_type)
    if isinstance(returned, GraphQLObjectType):
        return session.remember(Description(returned.name, field, source, values))
    if isinstance(returned, GraphQLList) and isinstance(kind := get_named_type(returned), GraphQLObjectType):
        items = await session.value(Description(f"[{kind.name}]", field, source, values), tuple)
        numbered = (Description(kind.name, field, source, {**values, ITEM: number}) for number in range(len(items)))
        return [session.remember(each) for each in numbered]
    if source is not None and returned is GraphQLID:
        # The schema's rule: the field does its work, and returns the id of its own object.
        if field in RESOLVERS:
            await session.answer(field, source, values)
        else:
            await session.value(source, object)
        return source.id
    return await session.answer(field, source, values)


def _value(session: Session, info: _Info, name: str, value: object) -> object:
    """Return an argument's value: an object for its id, and for a secret the key that it is kept under."""
    directives = _directives(info.parent_type.fields[info.field_name].args[name])
    if "secret" in directives:
        return session.secrets.keep(str(value))
    expected = directives.get("expectedType")
    if expected is None or value is None:
        return value
    if isinstance(value, list):
        return [session.find(str(item), expected["name"]) for item in value]
    return session.find(str(value), expected["name"])


def _directives(argument: GraphQLArgument) -> dict[str, dict[str, str]]:
    """Return the directives of an argument in the schema, with their own arguments."""
    found: dict[str, dict[str, str]] = {}
    for node in (argument.ast_node and argument.ast_node.directives) or ():
        texts = {each.name.value: each.value for each in node.arguments or ()}
        found[node.name.value] = {name: text.value for name, text in texts.items() if isinstance(text, StringValueNode)}
    return found


def _type_of(value: object, *_: object) -> str | None:
    return value.type_name if isinstance(value, Description) else None


def _formatted(session: Session, error: GraphQLError) -> dict[str, Any]:
    """Return the error as it is sent: with its cause's message and without secrets; a bug is logged too."""
    cause = error.original_error
    formatted: dict[str, Any] = dict(error.formatted)
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        formatted["message"] = f"no space left on device: {cause.filename or session.folders.shared}"
    elif isinstance(cause, EmbeddedEngineError):
        formatted["message"] = str(cause)
        if cause.extensions:
            formatted["extensions"] = cause.extensions
    elif cause is not None:
        formatted["message"] = f"internal error of the embedded engine: {type(cause).__name__}: {cause}"
        _LOGGER.error("%s", session.secrets.scrub("".join(traceback.format_exception(cause))))
    scrubbed: dict[str, Any] = _scrub(session, formatted)
    return scrubbed


def _scrub(session: Session, value: Any) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case str():
            return session.secrets.scrub(value)
        case Mapping():
            return {name: _scrub(session, item) for name, item in value.items()}
        case Sequence():
            return [_scrub(session, item) for item in value]
        case _:
            return value
