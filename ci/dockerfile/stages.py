"""The stages of a Dockerfile, up to the one that is built.

Pure. See https://docs.docker.com/build/building/multi-stage/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ci.dockerfile.reader import Instruction

_PLATFORM = "--platform="
_ON_HOST = frozenset({"$BUILDPLATFORM", "${BUILDPLATFORM}"})
_SCRATCH = "scratch"


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
        stages.append(_stage(instructions[start], stages, tuple(instructions[start + 1 : end])))
        if target.lower() in stages[-1].names:
            break
    return stages


def through_stages(instructions: Sequence[Instruction], stages: Sequence[Stage]) -> Sequence[Instruction]:
    """Return the instructions up to the end of the last of the stages, which are the first of the Dockerfile."""
    starts = [number for number, each in enumerate(instructions) if each.keyword == "FROM"]
    return instructions[: starts[len(stages)]] if len(stages) < len(starts) else instructions


def _stage(line: Instruction, earlier: Sequence[Stage], instructions: tuple[Instruction, ...]) -> Stage:
    words = line.rest.split()
    platforms = {word.removeprefix(_PLATFORM) for word in words if word.startswith(_PLATFORM)}
    base, *alias = [word.lower() for word in words if not word.startswith("--")] or [""]
    names = {str(len(earlier)), *(alias[1:2] if alias[:1] == ["as"] else [])}
    below = next((stage for stage in reversed(earlier) if base in stage.names), None)
    return Stage(
        names=frozenset(names),
        base=base,
        from_scratch=base == _SCRATCH if below is None else below.from_scratch,
        on_host=bool(platforms & _ON_HOST) if platforms else below is not None and below.on_host,
        instructions=instructions,
    )
