"""The stages of a Dockerfile, up to the one that is built.

Pure. See https://docs.docker.com/build/building/multi-stage/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.rules.dockerfile import Instruction

_PLATFORM = re.compile(r"--platform=(\S+)")
_ON_HOST = frozenset({"$BUILDPLATFORM", "${BUILDPLATFORM}"})

SCRATCH = "scratch"
"""The name of the empty image."""


@dataclass(frozen=True, slots=True)
class FromLine:
    """What follows FROM, with variables as they are written.

    Attributes:
        base: The image or stage that the stage starts from.
        platform: The value of `--platform`, or empty.
        name: The name of the stage, or empty.
    """

    base: str
    platform: str
    name: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage.

    Attributes:
        names: What other stages call it: its number, and its name in lower case if it has one.
        base: The image or stage that it starts from, in lower case.
        from_scratch: Whether it starts from an empty image, itself or by the stages that it starts from.
        on_host: Whether its commands run for the host's platform: `--platform=$BUILDPLATFORM`, or from such a stage.
        instructions: Those after its FROM.
    """

    names: frozenset[str]
    base: str
    from_scratch: bool
    on_host: bool
    instructions: tuple[Instruction, ...]


def read_stages(instructions: Sequence[Instruction], target: str = "") -> list[Stage]:
    """Return the stages in order, up to the target.

    Args:
        instructions: The Dockerfile.
        target: The name or number of the last stage; all stages if empty.
    """
    starts = [number for number, each in enumerate(instructions) if each.keyword == "FROM"]
    stages: list[Stage] = []
    for start, end in pairwise([*starts, len(instructions)]):
        stages.append(_stage(read_from(instructions[start].rest), stages, tuple(instructions[start + 1 : end])))
        if target.lower() in stages[-1].names:
            break
    return stages


def lineage(stages: Sequence[Stage]) -> list[Stage]:
    """Return the last of the stages, the stage that it starts from, and so on."""
    found: list[Stage] = []
    for stage in reversed(stages):
        if not found or found[-1].base in stage.names:
            found.append(stage)
    return found


def through_stages(instructions: Sequence[Instruction], stages: Sequence[Stage]) -> Sequence[Instruction]:
    """Return the instructions up to the end of the last of the stages, which are the first of the Dockerfile."""
    starts = [number for number, each in enumerate(instructions) if each.keyword == "FROM"]
    return instructions[: starts[len(stages)]] if len(stages) < len(starts) else instructions


def read_from(rest: str) -> FromLine:
    """Read what follows FROM."""
    platform = _PLATFORM.search(rest)
    base, *alias = [word for word in rest.split() if not word.startswith("--")] or [""]
    named = len(alias) > 1 and alias[0].upper() == "AS"
    return FromLine(base, "" if platform is None else platform[1], alias[1] if named else "")


def _stage(line: FromLine, earlier: Sequence[Stage], instructions: tuple[Instruction, ...]) -> Stage:
    base = line.base.lower()
    below = next((stage for stage in reversed(earlier) if base in stage.names), None)
    return Stage(
        names=frozenset({str(len(earlier)), line.name.lower()} - {""}),
        base=base,
        from_scratch=base == SCRATCH if below is None else below.from_scratch,
        on_host=line.platform in _ON_HOST if line.platform else below is not None and below.on_host,
        instructions=instructions,
    )
