"""What buildah 1.28 requires of Dockerfiles: keys for its cache, the command of a failed step."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from ci.engine.store.dockerfile_rewriting import readable
from pipeline.rules.dockerfile import Instruction, command_text, exec_form, read_instructions
from pipeline.rules.stages import Stage

_SALT = "EMBEDDED_ENGINE_CACHE_KEY_"
_SALT_DIGITS = 16
_SALTED = re.compile(rf" {_SALT}[0-9a-f]{{{_SALT_DIGITS}}}(=1)?")
_COUNTED = re.compile(r"^\|(\d+) ")
_STEP = re.compile(r'building at STEP "(.*?)": ')


def foreign_run(stages: Sequence[Stage]) -> Instruction | None:
    """Return the first RUN that needs the processor of the platform to build for, or None."""
    runs = (each for stage in stages if not stage.on_host for each in stage.instructions if each.keyword == "RUN")
    return next(runs, None)


def salted(text: str, arguments: Mapping[str, str]) -> str:
    """Return a Dockerfile in which steps differ if the values of the arguments that they use differ.

    buildah 1.28 (issue 5501) caches a step by its text and the names of arguments, without their values: after
    `ARG REV=1`, an `ENV REV=$REV` keeps its first value. So each ARG that a step other than RUN uses is followed by
    another ARG, whose name depends on the value. RUN is cached by the values themselves.

    Args:
        text: The Dockerfile.
        arguments: The values of build arguments by name.

    Returns:
        The Dockerfile to build; `unsalted` removes the addition from the history of its image.
    """
    found = read_instructions(text)
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
    """Return an entry of an image's history without what `salted` added; empty if nothing is left."""
    if not (count := len(_SALTED.findall(created_by))):
        return created_by
    if "#(nop) ARG " in created_by:
        return ""
    clean = _SALTED.sub("", created_by)
    return _COUNTED.sub(lambda arguments: f"|{left} " if (left := int(arguments[1]) - count) else "", clean)


def command_of_step(found: Sequence[Instruction], step: str) -> list[str]:
    """Return the command of the RUN in a message of buildah.

    Args:
        found: The Dockerfile's instructions.
        step: What follows `RUN` in the message: the text, or the words of an exec form.
    """
    for each in found:
        words = exec_form(each.rest) if each.keyword == "RUN" else []
        if words and " ".join(words) == step:
            return words
    return ["/bin/sh", "-c", readable(command_text(step))]


def line_of_step(found: Sequence[Instruction], message: str) -> int | None:
    """Return the number of the line, from 1, of the instruction in a message of buildah.

    It is None if the message has none, or if several lines of the Dockerfile have this instruction.
    """
    if (step := _STEP.search(message)) is None:
        return None
    words = step[1].split()
    lines = [each.first + 1 for each in found if f"{each.keyword} {each.rest}".split() == words]
    return lines[0] if len(lines) == 1 else None


def _is_used(name: str, found: Sequence[Instruction]) -> bool:
    use = re.compile(rf"\$(?:{re.escape(name)}\b|\{{{re.escape(name)}\b)")
    return any(each.keyword not in {"RUN", "FROM"} and use.search(each.rest) for each in found)
