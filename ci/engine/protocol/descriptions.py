"""Descriptions: what a query asks for, as an immutable chain of calls with an id that only its content decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute


@dataclass(frozen=True, slots=True)
class Call:
    """One field with its arguments, on the object that another call describes.

    Attributes:
        gives: The GraphQL type of what it describes.
        field: The field's full name, `Container.withLabel`.
        parent: What it is called on; None at the top of a query.
        args: The arguments by their GraphQL names; objects are calls themselves.
        digest: SHA-256 of all of the above, in hex.
    """

    gives: str
    field: str
    parent: Call | None = None
    args: Mapping[str, object] = attribute(default_factory=dict)
    digest: str = attribute(init=False)

    def __post_init__(self) -> None:
        content = [
            self.gives,
            self.field,
            self.parent.digest if self.parent else None,
            {name: _plain(value) for name, value in sorted(self.args.items())},
        ]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and other.digest == self.digest

    @property
    def id(self) -> str:
        """What the API shows as the object's id: its type and digest."""
        return f"{self.gives}@sha256:{self.digest}"


def _plain(value: object) -> object:
    match value:
        case Call():
            return {"call": value.id}
        case Mapping():
            return {"map": {str(name): _plain(item) for name, item in sorted(value.items())}}
        case str() | int() | float() | bool() | None:
            return value
        case Sequence():
            return [_plain(item) for item in value]
        case _:
            msg = f"an argument cannot be a {type(value).__name__}"
            raise TypeError(msg)


def literal(gives: str, **fields: object) -> Call:
    """Describe an object that is nothing but its fields, such as a `Label`."""
    return Call(gives, "literal", None, fields)
