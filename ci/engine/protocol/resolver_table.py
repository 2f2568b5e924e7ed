"""Which Python function does the work of which field."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

Function = Callable[..., Awaitable[object]]
F = TypeVar("F", bound=Function)

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")
_RESERVED = frozenset({"id"})


class Operations:
    """The functions by the full name of the field that they serve, such as `Container.withLabel`.

    A function takes the session, the value of the object that the field stands on, and the field's arguments by
    keyword in snake case. For a field that gives an object it returns that object's value, once a session; for
    one that gives a scalar it returns the answer itself.
    """

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def serves(self, *fields: str) -> Callable[[F], F]:
        """Register the decorated function for these fields."""

        def register(function: F) -> F:
            self._functions.update(dict.fromkeys(fields, function))
            return function

        return register

    def __contains__(self, field: str) -> bool:
        return field in self._functions

    def __getitem__(self, field: str) -> Function:
        return self._functions[field]


def python_arguments(args: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments with the names that the functions give them."""
    return {_python_name(name): value for name, value in args.items()}


def _python_name(name: str) -> str:
    snake = _HUMP.sub(lambda hump: "_" + hump.group().lower(), name)
    return f"{snake}_" if snake in _RESERVED else snake


OPERATIONS = Operations()
