"""Descriptions of objects: an immutable chain of field calls, with an id that depends on its content alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute

ITEM = "[]"
"""The argument that stands for the number of an object in the list that its field returns."""


@dataclass(frozen=True, slots=True)
class Description:
    """An object of the API, described by the field call that returns it.

    Attributes:
        type_name: The object's GraphQL type.
        field: The field's full name, such as `Container.withLabel`.
        parent: The object that the field belongs to; None for a field of `Query`.
        args: The arguments by their GraphQL names; objects are descriptions themselves.
        digest: SHA-256 of all of the above, in hex.
    """

    type_name: str
    field: str
    parent: Description | None = None
    args: Mapping[str, object] = attribute(default_factory=dict)
    digest: str = attribute(init=False)

    def __post_init__(self) -> None:
        content = [
            self.type_name,
            self.field,
            self.parent.digest if self.parent else None,
            {name: _plain(value) for name, value in sorted(self.args.items())},
        ]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Description) and other.digest == self.digest

    @property
    def id(self) -> str:
        """The object's id in the API: its type and digest."""
        return f"{self.type_name}@sha256:{self.digest}"


def _plain(value: object) -> object:
    match value:
        case Description():
            return {"object": value.id}
        case Mapping():
            return {"map": {str(name): _plain(item) for name, item in sorted(value.items())}}
        case str() | int() | float() | bool() | None:
            return value
        case Sequence():
            return [_plain(item) for item in value]
        case _:
            msg = f"an argument cannot be a {type(value).__name__}"
            raise TypeError(msg)
