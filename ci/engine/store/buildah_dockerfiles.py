"""What has to be known of a Dockerfile before buildah reads it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ci.engine.errors import NotServedError, QueryFailedError

_ESCAPE = re.compile(r"^#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"^#\s*\w+\s*=.*$")
_HEREDOC = re.compile(r"(?<!<)<<-?\s*([\"']?)[A-Za-z_]\w*\1")
_SALT = "EMBEDDED_ENGINE_CACHE_KEY_"
_SALT_DIGITS = 16
_SALTED = re.compile(rf" {_SALT}[0-9a-f]{{{_SALT_DIGITS}}}(=1)?")
_COUNTED = re.compile(r"^\|(\d+) ")


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


def salted(text: str, arguments: Mapping[str, str]) -> str:
    """Make a Dockerfile's steps others where the value of an argument that they use is another.

    buildah 1.28 (issue 5501) looks steps up in its cache by their text, and of `ARG REV=1` it takes the name alone:
    an `ENV REV=$REV` behind it keeps the value that it had at first. So behind an ARG that other steps than RUN use
    there comes one more, whose name depends on the value of the first. RUN is looked up with the values themselves.

    Args:
        text: The Dockerfile.
        arguments: The build arguments' values by name.

    Returns:
        The Dockerfile to build; `unsalted` takes what was added out of the history of its image.
    """
    found = list(_read(text))
    lines = text.split("\n")
    starts = [number for number, each in enumerate(found) if each.keyword == "FROM"]
    stages = found[starts[0] :] if starts else []
    before = [each.rest for each in found[: starts[0]] if each.keyword == "ARG"] if starts else []
    for each in stages:
        names = [word.partition("=")[0] for word in each.rest.split()] if each.keyword == "ARG" else []
        if any(_is_used(name, stages) for name in names):
            content = json.dumps([each.rest, [arguments.get(name) for name in names], before])
            lines[each.last] += f"\nARG {_SALT}{hashlib.sha256(content.encode()).hexdigest()[:_SALT_DIGITS]}=1"
    return "\n".join(lines)


def unsalted(created_by: str) -> str:
    """Return an entry of an image's history without what `salted` added; empty when it was nothing else."""
    if not (count := len(_SALTED.findall(created_by))):
        return created_by
    if "#(nop) ARG " in created_by:
        return ""
    clean = _SALTED.sub("", created_by)
    return _COUNTED.sub(lambda arguments: f"|{left} " if (left := int(arguments[1]) - count) else "", clean)


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
    use = re.compile(rf"\$(?:{re.escape(name)}\b|\{{{re.escape(name)}\b)")
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
