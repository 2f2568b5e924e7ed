"""What has to be known of a Dockerfile before buildah reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ci.engine.errors import NotServedError, QueryFailedError

_ESCAPE = re.compile(r"^#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"^#\s*\w+\s*=.*$")
_HEREDOC = re.compile(r"(?<!<)<<-?\s*([\"']?)[A-Za-z_]\w*\1")
_ONE_ARGUMENT = re.compile(r"\s*ARG\s+([A-Za-z_]\w*)(=\S*)?\s*", re.IGNORECASE)
_PLAIN_VALUE = re.compile(r"[\w.,:/@%+=~ -]*")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        keyword: In capitals, `RUN`.
        rest: What follows it, its lines joined.
        first: The number of its first line, from 0.
        last: The number of its last line.
    """

    keyword: str
    rest: str
    first: int
    last: int


def instructions(text: str) -> list[Instruction]:
    """Read a Dockerfile's instructions, without comments.

    Raises:
        NotServedError: There is a heredoc, which buildah 1.28 does not know.
    """
    found = list(_read(text))
    for each in found:
        if each.keyword in {"RUN", "COPY", "ADD"} and _HEREDOC.search(each.rest):
            what = f"a heredoc in a Dockerfile (line {each.first + 1}: {each.keyword} <<…)"
            raise NotServedError(what)
    return found


def base_images(found: list[Instruction]) -> list[str]:
    """Return the names in FROM and in COPY --from, as they are written; stages and variables among them."""
    names: list[str] = []
    for each in found:
        words = each.rest.split()
        if each.keyword == "FROM":
            names += [word for word in words if not word.startswith("--")][:1]
        elif each.keyword in {"COPY", "RUN"}:
            names += re.findall(r"\bfrom=([^\s,]+)", each.rest)
    return names


@dataclass(frozen=True, slots=True)
class Salted:
    """A Dockerfile whose steps are never taken from the cache for the value that a build argument had before.

    Attributes:
        text: What to build.
        use_cache: Whether cached steps may be used at all.
    """

    text: str
    use_cache: bool = True


def salted(text: str, arguments: Mapping[str, str]) -> Salted:
    """Put the values of build arguments into their ARG instructions where a step other than RUN uses them.

    buildah 1.28 (issue 5501) looks a step up in its cache by the step's text, `ENV REV=$REV`, whatever REV is. With
    the value in the text of the ARG before it, that step and all behind it are others for another value.

    Args:
        text: The Dockerfile.
        arguments: The build arguments' values by name.
    """
    found = list(_read(text))
    starts = [number for number, each in enumerate(found) if each.keyword == "FROM"]
    inside = found[starts[0] :] if starts else []
    used = {name for name in arguments if _is_used(name, inside)}
    lines = text.split("\n")
    for each in inside:
        declared = {part.partition("=")[0] for part in each.rest.split()} if each.keyword == "ARG" else set()
        for name in declared & used:
            value = arguments[name]
            simple = each.first == each.last and _ONE_ARGUMENT.fullmatch(lines[each.first])
            if not simple or not _PLAIN_VALUE.fullmatch(value):
                return Salted(text, use_cache=False)
            lines[each.first] = f'ARG {name}="{value}"'
    return Salted("\n".join(lines))


def run_command(found: list[Instruction], step: str) -> list[str]:
    """Return the command of the RUN that a builder's message shows.

    Args:
        found: The Dockerfile's instructions.
        step: What the message shows after `RUN`: the text, or an exec form's words.
    """
    for each in found:
        if each.keyword != "RUN" or not each.rest.startswith("["):
            continue
        try:
            words = json.loads(each.rest)
        except ValueError:
            continue
        if isinstance(words, list) and " ".join(map(str, words)) == step:
            return [str(word) for word in words]
    return ["/bin/sh", "-c", re.sub(r"^(--(mount|network|security)=\S+\s+)+", "", step)]


def _is_used(name: str, found: list[Instruction]) -> bool:
    use = re.compile(rf"\$(?:{name}\b|\{{{name}\b)")
    return any(each.keyword not in {"RUN", "FROM"} and use.search(each.rest) for each in found)


def _read(text: str) -> Iterator[Instruction]:
    lines = text.split("\n")
    escape = _escape_character(lines)
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        if not line or line.startswith("#"):
            number += 1
            continue
        first, parts = number, []
        while True:
            line = lines[number].strip()
            if not line.startswith("#"):
                parts.append(line.removesuffix(escape).rstrip() if line.endswith(escape) else line)
            more = line.endswith(escape) or line.startswith("#") or (not line and bool(parts))
            if not more or number + 1 >= len(lines):
                break
            number += 1
        keyword, _, rest = " ".join(part for part in parts if part).partition(" ")
        yield Instruction(keyword.upper(), rest.strip(), first, number)
        number += 1


def _escape_character(lines: list[str]) -> str:
    for line in lines:
        if found := _ESCAPE.match(line.strip()):
            return found[1]
        if not _DIRECTIVE.match(line.strip()):
            break
    return "\\"


def check_dockerfile(found: list[Instruction], path: str) -> None:
    """Refuse a Dockerfile without a base.

    Raises:
        QueryFailedError: There is no FROM.
    """
    if not any(each.keyword == "FROM" for each in found):
        msg = f"{path}: file with no instructions" if not found else f"{path}: no build stage: there is no FROM"
        raise QueryFailedError(msg)
