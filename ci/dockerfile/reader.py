"""Reads the instructions of a Dockerfile, with their lines and heredocs.

Pure. The rules are those of https://docs.docker.com/reference/dockerfile/ ("Format", "escape", "Here-Documents").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*(?P<name>\w+)\s*=\s*(?P<value>\S+)\s*")
_ESCAPES = ("\\", "`")
_WITH_HEREDOCS = frozenset({"RUN", "COPY", "ADD"})
# A word of the form <<NAME, <<-NAME or <<"NAME"; quoted texts are matched too, so that what is in them does not count.
_HEREDOC_OR_QUOTED = re.compile(
    r"(?<!\S)\d*<<(?P<dash>-?)(?P<quote>[\"']?)(?P<name>[^\s<\"']+)(?P=quote)(?!\S)"
    r"|\"(?:\\.|[^\"\\])*\"|'[^']*'"
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile.

    Attributes:
        keyword: In capitals, such as `RUN`.
        rest: What follows the keyword, on one line, without the text of heredocs.
        first: The number of its first line, from 0.
        last: The number of its last line, that of its heredocs included.
        heredocs: The names of its heredocs.
    """

    keyword: str
    rest: str
    first: int
    last: int
    heredocs: tuple[str, ...] = ()


def read_instructions(text: str) -> list[Instruction]:
    """Read the instructions of a Dockerfile, without comments. Every text can be read."""
    lines = text.removeprefix("\ufeff").split("\n")
    escape = _escape_character(lines)
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
    heredocs = list(_HEREDOC_OR_QUOTED.finditer(rest)) if keyword in _WITH_HEREDOCS else []
    names: list[str] = []
    for heredoc in heredocs:
        if heredoc["name"] is not None:
            names.append(heredoc["name"])
            last = _end_of_heredoc(lines, last + 1, heredoc["name"], tabs=bool(heredoc["dash"]))
    return Instruction(keyword, rest, first, last, tuple(names))


def _end_of_heredoc(lines: list[str], start: int, name: str, *, tabs: bool) -> int:
    """Return the number of the line that ends a heredoc, or of the last line of the file if none does."""
    for number in range(start, len(lines)):
        line = lines[number].rstrip("\r")
        if (line.lstrip("\t") if tabs else line) == name:
            return number
    return len(lines) - 1


def _is_skipped(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _escape_character(lines: list[str]) -> str:
    """Return the character that continues a line; a directive at the top of the file can change it."""
    for line in lines:
        directive = _DIRECTIVE.fullmatch(line.strip())
        if directive is None:
            break
        if directive["name"].lower() == "escape" and directive["value"] in _ESCAPES:
            return directive["value"]
    return "\\"
