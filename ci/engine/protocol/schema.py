"""The GraphQL schema that is served, and the execution of queries on a session."""

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
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    execute,
    get_named_type,
    is_input_object_type,
    parse,
    validate,
    visit,
)
from graphql.execution import ExecutionResult

from ci.engine import resolvers  # noqa: F401 - registers the functions
from ci.engine.errors import NotServedError, QueryFailedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from pipeline.rules.errors import PipelineError

SCHEMA: GraphQLSchema = build_schema(Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"))

_LOGGER = logging.getLogger(__name__)
_LITERAL = "literal"
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
        query: `query`, and `variables` and `operationName` where there are any, as GraphQL over HTTP has it.

    Returns:
        The response: `data`, `errors`, or both. It holds no secret but one that was asked for by `plaintext`.
    """
    try:
        document = parse(str(query.get("query", "")), max_tokens=200_000)
        errors = _refused(document) or validate(SCHEMA, document)
    except GraphQLError as error:
        errors = [error]
    except RecursionError:
        errors = [GraphQLError("the query is nested too deeply")]
    if errors:
        return {"errors": [_shown(session, error) for error in errors]}
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
        response["errors"] = [_shown(session, error) for error in result.errors]
    return response


def _refused(document: DocumentNode) -> list[GraphQLError]:
    types = TypeInfo(SCHEMA)
    refusals = _Refusals(types)
    visit(document, TypeInfoVisitor(types, refusals))
    return refusals.errors


async def _resolve(source: Call | None, info: _Info, /, **args: object) -> object:
    session = info.context
    field = f"{info.parent_type.name}.{info.field_name}"
    if source is not None and info.field_name == "id":
        return source.id
    if field == "Query.node":
        return session.find(str(args["id"]))
    if source is not None and source.field == _LITERAL:
        return source.args.get(info.field_name)
    objects = {name: _objects(session, info, name, value) for name, value in args.items()}
    if objects.pop("noCache", False):
        objects["nonce"] = token_hex(16)
    gives = get_named_type(info.return_type)
    if isinstance(gives, GraphQLObjectType) and field != "Query.setSecret" and not _is_list(info):
        return session.remember(Call(gives.name, field, source, objects))
    if info.field_name in {"sync", "start", "stop"}:
        return await _do(session, field, source, objects)
    found = await session.answer(field, source, objects)
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, Call):
            session.remember(item)
    return found


async def _do(session: Session, field: str, source: Call | None, args: dict[str, object]) -> str:
    if source is None:
        raise TypeError
    if field in OPERATIONS:
        await session.answer(field, source, args)
    else:
        await session.value(source, object)
    return source.id


def _is_list(info: _Info) -> bool:
    return "[" in str(info.return_type)


def _objects(session: Session, info: _Info, name: str, value: object) -> object:
    """Put objects in the place of ids, and plain values in that of input objects."""
    argument = info.parent_type.fields[info.field_name].args[name]
    if is_input_object_type(get_named_type(argument.type)):
        return value
    expected = _expected_type(argument.ast_node)
    if expected is None or value is None:
        return value
    if isinstance(value, list):
        return [session.find(str(item), expected) for item in value]
    return session.find(str(value), expected)


def _expected_type(node: Any) -> str | None:  # noqa: ANN401 - an argument's definition
    for directive in getattr(node, "directives", None) or ():
        if directive.name.value == "expectedType":
            return str(directive.arguments[0].value.value)
    return None


def _type_of(value: object, *_: object) -> str | None:
    return value.gives if isinstance(value, Call) else None


def _shown(session: Session, error: GraphQLError) -> dict[str, Any]:
    """Return the error as it is sent: with its cause's words, without secrets, and logged where it is a bug."""
    cause = error.original_error
    shown: dict[str, Any] = dict(error.formatted)
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        shown["message"] = f"no space left on device: {cause.filename or session.workspace.shared}"
    elif cause is not None and not isinstance(cause, PipelineError):
        shown["message"] = f"internal error of the embedded engine: {type(cause).__name__}: {cause}"
        _LOGGER.error("%s", session.secrets.scrub("".join(traceback.format_exception(cause))))
    elif isinstance(cause, PipelineError):
        shown["message"] = str(cause)
        if isinstance(cause, QueryFailedError) and cause.extensions:
            shown["extensions"] = cause.extensions
    scrubbed: dict[str, Any] = _scrub(session, shown)
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
