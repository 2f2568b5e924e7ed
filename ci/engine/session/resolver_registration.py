"""The table of resolvers: the Python function behind each field of the schema."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

Resolver = Callable[..., Awaitable[object]]
F = TypeVar("F", bound=Resolver)

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")


class ResolverTable:
    """Resolvers by the full name of their field, such as `Container.withLabel`.

    A resolver takes the session, the value of the object that the field belongs to, and the field's arguments by
    keyword in snake case. For a field that returns an object it returns that object's value and runs once per session;
    for a field that returns a scalar it returns the answer.
    """

    def __init__(self) -> None:
        self._resolvers: dict[str, Resolver] = {}

    def field(self, name: str) -> Callable[[F], F]:
        """Register the decorated function as the resolver of a field."""

        def register(resolver: F) -> F:
            self._resolvers[name] = resolver
            return resolver

        return register

    def __iter__(self) -> Iterator[str]:
        return iter(self._resolvers)

    def __contains__(self, name: str) -> bool:
        return name in self._resolvers

    def __getitem__(self, name: str) -> Resolver:
        return self._resolvers[name]


RESOLVERS = ResolverTable()


def python_arguments(args: Mapping[str, object]) -> dict[str, Any]:
    """Return a field's arguments by the names of its resolver's parameters."""
    return {_HUMP.sub(lambda hump: "_" + hump.group().lower(), name): value for name, value in args.items()}
