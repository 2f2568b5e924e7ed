"""Values of `.env` as Dagger evaluates them: words of a POSIX shell, joined by single spaces.

A value without quotes, backslashes and variables is taken literally, spaces included (`core/dotenv` in its source).
What only a shell could do (commands, arithmetic, `${NAME#…}`) is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Lookup = Callable[[str], str | None]
"""Returns the value of a variable, or None if it is not set."""

_FEATURES = re.compile(r"""[`"'\\]|\$[A-Za-z_{(]""")
_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
      | '(?P<single>[^']*)'
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | \\(?P<escaped>.)
      | (?P<variable>\$(?:[A-Za-z_]\w*|\{[^{}]*\}))
      | (?P<comment>\#)
      | (?P<plain>[^\s'"\\$`;|&<>()\#]+)
    """,
    re.VERBOSE | re.ASCII,
)
_IN_QUOTES = re.compile(
    r"""\\(?P<escaped>["\\$`]) | (?P<variable>\$(?:[A-Za-z_]\w*|\{[^{}]*\})) | (?P<plain>[^$`] | \$(?![A-Za-z_{(]))""",
    re.VERBOSE | re.ASCII,
)
_BRACED = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?::?-(?P<default>.*))?\}", re.ASCII)


class ValueSyntaxError(Exception):
    """A value cannot be evaluated.

    Args:
        problem: Why.
    """


@dataclass(slots=True)
class _Words:
    lookup: Lookup
    done: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def end(self) -> None:
        if self.open:
            self.done.append("".join(self.open))
            self.open.clear()


def evaluate(text: str, lookup: Lookup) -> str:
    """Return a value without its quotes and with its variables replaced.

    Args:
        text: The value, as it stands after the equals sign.
        lookup: Returns the values of variables.

    Raises:
        ValueSyntaxError: It is not valid, or refers to a variable that is not set.
    """
    if _FEATURES.search(text) is None:
        return text
    words = _Words(lookup)
    for kind, part in _tokens(text):
        match kind:
            case "space":
                words.end()
            case "comment" if not words.open:
                break
            case "single" | "escaped" | "plain" | "comment":
                words.open.append(part)
            case "double":
                words.open.append(_quoted(part, lookup))
            case _:
                words.open.append(" ".join(_variable(part, lookup).split()))
    words.end()
    return " ".join(words.done)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _matched(_TOKEN, text, at)
        kind = found.lastgroup or ""
        yield kind, found[kind]
        at = found.end()


def _quoted(text: str, lookup: Lookup) -> str:
    parts: list[str] = []
    at = 0
    while at < len(text):
        found = _matched(_IN_QUOTES, text, at)
        parts.append(_variable(found[0], lookup) if found["variable"] else found["escaped"] or found[0])
        at = found.end()
    return "".join(parts)


def _matched(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        msg = "not valid; put it in single quotes to take it literally"
        raise ValueSyntaxError(msg)
    return found


def _variable(text: str, lookup: Lookup) -> str:
    braced = _BRACED.fullmatch(text)
    if braced is None and text.startswith("${"):
        msg = f"{text} cannot be evaluated; only ${{NAME}} and ${{NAME:-default}} can"
        raise ValueSyntaxError(msg)
    name, default = (text[1:], None) if braced is None else (braced["name"], braced["default"])
    value = lookup(name)  # an empty variable is as one that is not set
    if value:
        return value
    if default is None:
        msg = f"the variable {name} is not set"
        raise ValueSyntaxError(msg)
    return _quoted(default, lookup)
