"""Options of the form `NAME=VALUE`: build arguments, labels, annotations and build secrets.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.rules.errors import UsageError
from pipeline.rules.text import quoted

NamedValues = tuple[tuple[str, str], ...]
"""Values by name, sorted by name."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[!-<>-~]+")  # printable ASCII without spaces and `=`
_SECRET_ID = re.compile(r"[\w.-]+", re.ASCII)


def parse_build_args(texts: Sequence[str]) -> NamedValues:
    """Read build arguments; of two with one name the last counts.

    Raises:
        UsageError: One is not of the form NAME=VALUE.
    """
    return _parsed(texts, _VARIABLE, "build argument", "NAME=VALUE")


def parse_labels(texts: Sequence[str]) -> NamedValues:
    """Read labels; of two with one name the last counts.

    Raises:
        UsageError: One is not of the form NAME=VALUE.
    """
    return _parsed(texts, _KEY, "label", "NAME=VALUE")


def parse_annotations(texts: Sequence[str]) -> NamedValues:
    """Read annotations; of two with one name the last counts.

    Raises:
        UsageError: One is not of the form NAME=VALUE.
    """
    return _parsed(texts, _KEY, "annotation", "NAME=VALUE")


def parse_build_secrets(texts: Sequence[str]) -> NamedValues:
    """Read build secrets: the id that the Dockerfile uses, and the place of the secret.

    Raises:
        UsageError: One is not of the form ID=PLACE; the message does not show it, as it may be the secret itself.
    """
    return _parsed(texts, _SECRET_ID, "build secret", "ID=env:NAME, ID=file:PATH or ID=cmd:COMMAND", shown=False)


def secret_ids(ids: Sequence[str], count: int) -> NamedValues:
    """Pair the ids of build secrets that come without names, in their order, with nothing.

    Raises:
        UsageError: There are more or fewer ids than secrets, an id is not valid, or two are the same.
    """
    if len(ids) != count or len(set(ids)) != len(ids):
        msg = f"{count} build secrets require as many different ids, got {len(ids)}: {quoted(','.join(ids))}."
        raise UsageError(msg, hint="Give one --build-secret-id for each --build-secret, in the same order.")
    return _parsed([f"{name}=" for name in ids], _SECRET_ID, "build secret", "an id as in RUN --mount=type=secret,id=…")


def _parsed(
    texts: Sequence[str], name_pattern: re.Pattern[str], what: str, form: str, *, shown: bool = True
) -> NamedValues:
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name_pattern.fullmatch(name) is None:
            wrong = f" {quoted(name)}" if shown else ""
            msg = f"Invalid {what}{wrong}: expected {form}."
            raise UsageError(msg)
        values[name] = value
    return tuple(sorted(values.items()))
