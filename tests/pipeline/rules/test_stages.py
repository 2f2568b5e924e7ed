from __future__ import annotations

import pytest

from pipeline.rules.dockerfile import read_instructions
from pipeline.rules.stages import lineage, read_stages, through_stages


@pytest.mark.parametrize(
    ("text", "scratch"),
    [
        ("FROM scratch\n", True),
        ("FROM debian\n", False),
        ("FROM debian AS scratched\nFROM scratch\nCOPY --from=0 / /\n", True),
        ("FROM scratch AS One\nFROM one\n", True),
        ("FROM scratch\nFROM 0 AS two\nFROM two\n", True),
        ("FROM scratch AS debian\nFROM debian\n", True),
        ("FROM debian\nFROM scratch AS debian\n", True),
        ("FROM --platform=linux/arm64 Scratch\n", True),
    ],
)
def test_an_image_without_a_base_is_known(text: str, *, scratch: bool) -> None:
    assert read_stages(read_instructions(text))[-1].from_scratch is scratch


def test_stages_end_with_the_target() -> None:
    instructions = read_instructions("ARG A\nFROM a AS one\nRUN x\nFROM b AS two\nFROM c\nCMD y\n")

    assert [stage.base for stage in read_stages(instructions)] == ["a", "b", "c"]
    assert [stage.base for stage in read_stages(instructions, "TWO")] == ["a", "b"]
    assert [stage.base for stage in read_stages(instructions, "0")] == ["a"]
    assert [each.keyword for each in read_stages(instructions)[2].instructions] == ["CMD"]
    assert read_stages([]) == []


def test_the_lineage_of_a_stage_is_what_it_starts_from() -> None:
    text = "FROM scratch AS a\nFROM debian AS b\nFROM a AS c\nFROM b AS d\nFROM c\n"

    assert [stage.base for stage in lineage(read_stages(read_instructions(text)))] == ["c", "a", "scratch"]
    assert [stage.base for stage in lineage(read_stages(read_instructions(text), "d"))] == ["b", "debian"]
    assert lineage([]) == []


@pytest.mark.parametrize(("target", "last"), [("", "CMD"), ("one", "RUN"), ("two", "FROM"), ("unknown", "CMD")])
def test_what_follows_the_target_is_left_out(target: str, last: str) -> None:
    instructions = read_instructions("ARG A\nFROM a AS one\nRUN x\nFROM b AS two\nFROM c\nCMD y\n")

    assert through_stages(instructions, read_stages(instructions, target))[-1].keyword == last
