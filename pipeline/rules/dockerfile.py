"""Reads the instructions of a Dockerfile, with their lines and heredocs.

Pure. The rules are those of https://docs.docker.com/reference/dockerfile/ ("Format", "escape", "Here-Documents").
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

_RUN_FLAGS = re.compile(r"^(--(mount|network|security)=\S+\s+)+")
_DIRECTIVE = re.compile(r"#\s*(?P<name>\w+)\s*=\s*(?P<value>\S+)\s*")
_ESCAPES = ("\\", "`")
_WITH_HEREDOCS = re.compile(r"(ONBUILD\s+)?(RUN|COPY|ADD)\s", re.IGNORECASE)
# A word of the form <<NAME, <<-NAME or <<"NAME"; quoted texts are matched too, so that what is in them does not count.
_HEREDOC_OR_QUOTED = re.compile(
    r"(?<!\S)\d*<<(?P<dash>-?)(?P<quote>[\"']?)(?P<name>[^\s<\"']+)(?P=quote)(?!\S)"
    r"|\"(?:\\.|[^\"\\])*\"|'[^']*'"
)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document.

    Attributes:
        name: Its delimiter, without quotes.
        body: Its lines, each with its end; without leading tabs if the delimiter has a dash.
        raw: Its lines as they are in the file.
        expands: Whether the builder replaces variables in it if it becomes a file: the delimiter has no quotes.
        ended: Whether a line ends it.
    """

    name: str
    body: str
    raw: str
    expands: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile.

    Attributes:
        keyword: In capitals, such as `RUN`.
        rest: What follows the keyword, on one line, without the text of heredocs.
        first: The number of its first line, from 0.
        last: The number of its last line, that of its heredocs included.
        heredocs: Its heredocs, in order.
    """

    keyword: str
    rest: str
    first: int
    last: int
    heredocs: tuple[Heredoc, ...] = ()


def read_instructions(text: str) -> list[Instruction]:
    """Read the instructions of a Dockerfile, without comments. Every text can be read."""
    lines = text.removeprefix("\ufeff").split("\n")
    escape = escape_character(lines)
    found: list[Instruction] = []
    number = 0
    while number < len(lines):
        if _is_skipped(lines[number]):
            number += 1
            continue
        instruction = _read_one(lines, number, escape)
        found.append(instruction)
        number = instruction.last + 1
    return found


def command_text(rest: str) -> str:
    """Return the command in what follows RUN: without flags such as `--mount=…`."""
    return _RUN_FLAGS.sub("", rest)


def exec_form(rest: str) -> list[str]:
    """Return the words of an exec form, `["program", "argument"]`; none if the text is not one."""
    try:
        found = json.loads(rest)
    except ValueError:
        return []
    return [str(word) for word in found] if isinstance(found, list) else []


def _read_one(lines: list[str], first: int, escape: str) -> Instruction:
    """Read the instruction that begins on a line, with the lines that continue it."""
    parts: list[str] = []
    number = last = first
    while number < len(lines):
        line = lines[number].strip()
        if not _is_skipped(line):
            last = number
            parts.append(line.removesuffix(escape).rstrip())
            if not line.endswith(escape):
                break
        number += 1
    keyword, _, rest = " ".join(part for part in parts if part).partition(" ")
    keyword, rest = keyword.upper(), rest.strip()
    heredocs: list[Heredoc] = []
    for found in _HEREDOC_OR_QUOTED.finditer(rest) if _WITH_HEREDOCS.match(f"{keyword} {rest} ") else ():
        if found["name"] is not None:
            heredoc, last = _read_heredoc(lines, last + 1, found)
            heredocs.append(heredoc)
    return Instruction(keyword, rest, first, last, tuple(heredocs))


def _read_heredoc(lines: list[str], start: int, found: re.Match[str]) -> tuple[Heredoc, int]:
    """Return a heredoc and the number of the line that ends it, or of the last line of the file if none does."""
    name, tabs = found["name"], bool(found["dash"])
    ends = (number for number in range(start, len(lines)) if _delimiter(lines[number], tabs=tabs) == name)
    end = next(ends, None)
    content = lines[start:end]
    raw = "".join(f"{line}\n" for line in content)
    body = "".join(f"{line.lstrip(chr(9))}\n" for line in content) if tabs else raw
    heredoc = Heredoc(name, body, raw, expands=not found["quote"], ended=end is not None)
    return heredoc, len(lines) - 1 if end is None else end


def _delimiter(line: str, *, tabs: bool) -> str:
    line = line.rstrip("\r")
    return line.lstrip("\t") if tabs else line


def _is_skipped(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def escape_character(lines: Sequence[str]) -> str:
    """Return the character that continues a line; a directive at the top of the file can change it."""
    for line in lines:
        directive = _DIRECTIVE.fullmatch(line.strip())
        if directive is None:
            break
        if directive["name"].lower() == "escape" and directive["value"] in _ESCAPES:
            return directive["value"]
    return "\\"
