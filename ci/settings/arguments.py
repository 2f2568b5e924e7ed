"""The arguments of the module that files can set, and how Dagger reads their values (`core/modfunc.go`).

Dagger converts a value by the type of its argument in the module. A test compares this table with the module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum

Value = str | int | bool | tuple[str, ...]


class Kind(StrEnum):
    """The type of an argument, as far as it decides how a value is read."""

    TEXT = "text"
    LIST = "list"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    SCALAR = "scalar"
    """An enum."""
    SECRET = "secret"  # noqa: S105 - a type
    SECRETS = "secrets"
    SERVICE = "service"

    @property
    def is_secret(self) -> bool:
        """Whether a value may be the secret itself by mistake, and is not shown."""
        return self in {Kind.SECRET, Kind.SECRETS}


_COMMIT = {"ref": Kind.TEXT, "sha": Kind.TEXT}
_ACCESS = {"username": Kind.TEXT, "token": Kind.SECRET, "timeout": Kind.INTEGER, "registry_service": Kind.SERVICE}
_TAGS = {"latest": Kind.SCALAR, "force_move": Kind.BOOLEAN}
_PUBLISHING = {
    **_COMMIT,
    **_ACCESS,
    **_TAGS,
    "allow_dirty": Kind.BOOLEAN,
    "no_reuse": Kind.BOOLEAN,
    "max_age": Kind.TEXT,
}

CONSTRUCTOR: Mapping[str, Kind] = {
    "source": Kind.TEXT,
    "dockerfile": Kind.TEXT,
    "target": Kind.TEXT,
    "build_arg": Kind.LIST,
    "build_secret": Kind.SECRETS,
    "build_secret_id": Kind.LIST,
    "label": Kind.LIST,
    "annotation": Kind.LIST,
    "registry": Kind.TEXT,
    "owner": Kind.TEXT,
    "name": Kind.TEXT,
    "platform": Kind.TEXT,
}
"""The constructor's arguments, which are set for every function."""

FUNCTIONS: Mapping[str, Mapping[str, Kind]] = {
    "plan": {**_COMMIT, **_ACCESS, **_TAGS, "online": Kind.BOOLEAN},
    "build": _COMMIT,
    "image_builds": {},
    "build_and_push": _PUBLISHING,
    "publish": _PUBLISHING,
    "verify": {
        **_COMMIT,
        **_ACCESS,
        "digest": Kind.TEXT,
        "command": Kind.LIST,
        "path": Kind.TEXT,
        "port": Kind.INTEGER,
    },
}
"""The arguments of each function."""


def spelled(name: str) -> str:
    """Return the name of an argument or function in files: `buildArg` for `build_arg`. Case does not count there."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def read_value(kind: Kind, text: str) -> Value:
    """Read a value of `.env`, or of an argument of the constructor in `customizations`.

    Raises:
        ValueError: It is not of the argument's type; the message says what is expected.
    """
    return _READERS[kind](text)


def read_function_default(kind: Kind, text: str) -> Value:
    """Read a value of an argument of a function in `customizations`, where Dagger takes lists and scalars as JSON.

    Raises:
        ValueError: It is not of the argument's type; the message says what is expected.
    """
    return {**_READERS, **_FUNCTION_READERS}[kind](text)


def _separated(text: str) -> Value:
    return tuple(text.split(","))


def _places(text: str) -> Value:
    return tuple(_place(each.strip()) for each in text.split(","))


def _place(text: str) -> str:
    """Return the place of a secret; Dagger takes a bare word as the name of an environment variable."""
    return text if ":" in text else f"env:{text}"


def _integer(text: str) -> Value:
    try:
        return int(text)
    except ValueError:
        raise ValueError("an integer") from None  # noqa: EM101, TRY003 - what was expected


def _boolean(text: str) -> Value:
    value = _json(text, "true or false")
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: EM101, TRY003, TRY004 - what was expected
    return value


def _scalar(text: str) -> Value:
    expected = f"a JSON string, {json.dumps(text)}"
    value = _json(text, expected)
    if not isinstance(value, str):
        raise ValueError(expected)  # noqa: TRY004 - what was expected
    return value


def _json_list(text: str) -> Value:
    expected = "a JSON list of strings"
    items = _json(text, expected)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(expected)
    return tuple(items)


def _scalar_or_text(text: str) -> Value:
    return _scalar(text if text.startswith('"') else json.dumps(text))


def _not_here(text: str) -> Value:
    del text
    raise ValueError("no value: Dagger takes none here")  # noqa: EM101, TRY003 - what was expected


def _no_service(text: str) -> Value:
    return text  # lr-ci reaches the host's registries without a service


def _json(text: str, expected: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(expected) from None


_READERS: Mapping[Kind, Callable[[str], Value]] = {
    Kind.TEXT: str,
    Kind.LIST: _separated,
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.SCALAR: _scalar,
    Kind.SECRET: _place,
    Kind.SECRETS: _places,
    Kind.SERVICE: _no_service,
}
_FUNCTION_READERS: Mapping[Kind, Callable[[str], Value]] = {
    Kind.LIST: _json_list,
    Kind.SCALAR: _scalar_or_text,
    Kind.SECRET: _not_here,
    Kind.SECRETS: _not_here,
}
