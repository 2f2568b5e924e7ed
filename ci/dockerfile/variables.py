"""The variables of a Dockerfile's stages, and their replacement in words and in here-documents.

Pure. The rules are those of https://docs.docker.com/reference/dockerfile/ ("Environment replacement", "Scope", "Using
ARG variables", "Here-Documents").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.rules.dockerfile import Instruction
from pipeline.rules.stages import SCRATCH

_NAME = re.compile(r"[^\W\d]\w*|\d+|[@*#?$!-]")
_WORD = re.compile(r"(?:[^\s\"'\\]|\\.|\"(?:\\.|[^\"\\])*\"|'[^']*')+")


class ExpansionError(ValueError):
    """A text has a substitution that is not supported."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known where an instruction begins.

    Attributes:
        environment: The values of ENV, those of the base image included.
        arguments: The values of ARG.
        base: The image at the bottom of the stage, with its `--platform`; None if that is the empty image.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    base: tuple[str, str] | None = None

    @property
    def variables(self) -> Mapping[str, str]:
        """All variables; ENV overrides ARG."""
        return {**self.arguments, **self.environment}


def read_scopes(
    instructions: Sequence[Instruction],
    given: Mapping[str, str],
    automatic: Mapping[str, str],
    environments: Mapping[tuple[str, str], Mapping[str, str]],
) -> list[Scope]:
    """Return the scope of each instruction.

    Args:
        instructions: The Dockerfile.
        given: Build arguments by name.
        automatic: The arguments that every build has, such as TARGETARCH.
        environments: The environments of base images, by name and `--platform`; empty for one that is missing.
    """
    outside = Scope(arguments=automatic)
    stages: dict[str, Scope] = {}
    names: list[str] = []
    scope = outside
    count = 0
    found: list[Scope] = []
    for each in instructions:
        found.append(scope)
        if each.keyword == "FROM":
            base, platform, names = _read_from(each.rest, outside, count)
            count += 1
            image = None if base.lower() == SCRATCH else (base, platform)
            scope = stages.get(base.lower()) or Scope(environments.get(image, {}) if image else {}, {}, image)
        elif each.keyword == "ARG":
            scope = _declare(each.rest, scope, given, outside.arguments)
            outside = outside if names else scope
        elif each.keyword == "ENV":
            scope = replace(scope, environment={**scope.environment, **_read_pairs(each.rest, scope)})
        stages |= dict.fromkeys(names, scope)
    return found


def expand(text: str, variables: Mapping[str, str], *, quotes: bool) -> str:
    """Replace variables in a text, and remove the backslashes that escape characters.

    Args:
        text: A word, or the body of a here-document.
        variables: The values; a variable that is missing is empty.
        quotes: Whether quotes are those of a word; in a here-document they are text.

    Raises:
        ExpansionError: It has a substitution that is not supported.
    """
    return _Expansion(text, variables, quotes=quotes).until("")


def expand_word(word: str, variables: Mapping[str, str]) -> str:
    """Replace variables in a word and remove its quotes; a word that cannot be expanded stays as it is."""
    try:
        return expand(word, variables, quotes=True)
    except ExpansionError:
        return word


class _Expansion:
    def __init__(self, text: str, variables: Mapping[str, str], *, quotes: bool) -> None:
        self._text, self._variables, self._quotes = text, variables, quotes
        self._at = 0

    def until(self, stop: str) -> str:
        """Return the text up to a character, or to its end if that is empty."""
        parts: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == stop:
                return "".join(parts)
            parts.append(self._next(character))
        if stop:
            msg = "missing '}'"
            raise ExpansionError(msg)
        return "".join(parts)

    def _next(self, character: str) -> str:
        match character:
            case "$":
                return self._variable()
            case "\\":
                self._at += 1
                return self._text[self._at - 1 : self._at]
            case "'" if self._quotes:
                end = self._text.find("'", self._at)
                inner = self._text[self._at : end if end >= 0 else len(self._text)]
                self._at += len(inner) + 1
                return inner
            case '"' if self._quotes:
                return self._double_quoted()
            case _:
                return character

    def _double_quoted(self) -> str:
        parts: list[str] = []
        while self._at < len(self._text) and (character := self._text[self._at]) != '"':
            self._at += 1
            if character == "\\" and self._text[self._at : self._at + 1] in {'"', "$", "\\"}:
                parts.append(self._text[self._at])
                self._at += 1
            else:
                parts.append(self._variable() if character == "$" else character)
        self._at += 1
        return "".join(parts)

    def _variable(self) -> str:
        braces = self._text[self._at : self._at + 1] == "{"
        self._at += braces
        name = _NAME.match(self._text, self._at)
        if name is None:
            if braces:
                msg = "bad substitution"
                raise ExpansionError(msg)
            return "$"
        self._at = name.end()
        value = self._variables.get(name[0])
        if not braces:
            return value or ""
        operator = re.compile(r":?[-+]|\}|").match(self._text, self._at)
        kind = operator[0] if operator else ""
        self._at += len(kind)
        if kind == "}":
            return value or ""
        if not kind:
            msg = f"unsupported substitution ${{{name[0]}{self._text[self._at : self._at + 2]}…}}"
            raise ExpansionError(msg)
        other = self.until("}")
        counts = bool(value) if kind.startswith(":") else value is not None
        if kind.endswith("-"):
            return (value or "") if counts else other
        return other if counts else ""


def _read_from(rest: str, outside: Scope, number: int) -> tuple[str, str, list[str]]:
    """Return the base of a stage, its platform, and the stage's names."""
    words = [expand_word(word, outside.variables) for word in rest.split()]
    platform = next((word.partition("=")[2] for word in words if word.startswith("--platform=")), "")
    base, *alias = [word for word in words if not word.startswith("--")] or [""]
    names = [alias[1].lower()] if len(alias) > 1 and alias[0].lower() == "as" else []
    return base, platform, [*names, str(number)]


def _declare(rest: str, scope: Scope, given: Mapping[str, str], outside: Mapping[str, str]) -> Scope:
    arguments = dict(scope.arguments)
    for word in _WORD.findall(rest):
        name, equals, default = word.partition("=")
        if name in given:
            arguments[name] = given[name]
        elif equals:
            arguments[name] = expand_word(default, replace(scope, arguments=arguments).variables)
        elif name in outside:
            arguments[name] = outside[name]
    return replace(scope, arguments=arguments)


def _read_pairs(rest: str, scope: Scope) -> dict[str, str]:
    variables = scope.variables
    words: list[str] = _WORD.findall(rest)
    if words and "=" not in words[0]:
        name, _, value = rest.partition(" ")
        return {name: expand_word(value.strip(), variables)}
    pairs = [word.partition("=") for word in words]
    return {expand_word(name, variables): expand_word(value, variables) for name, _, value in pairs}
