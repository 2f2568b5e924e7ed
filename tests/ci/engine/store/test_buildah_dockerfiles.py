from __future__ import annotations

import pytest

from ci.engine.store.buildah_dockerfiles import command_of_step, foreign_run, line_of_step, salted, unsalted
from pipeline.rules.dockerfile import read_instructions
from pipeline.rules.stages import read_stages


@pytest.mark.parametrize(
    ("dockerfile", "target", "line"),
    [
        ("FROM a\nRUN x\n", "", 1),
        ("FROM --platform=$BUILDPLATFORM a\nRUN x\n", "", None),
        ("FROM --platform=${BUILDPLATFORM} a AS One\nFROM one\nRUN x\n", "", None),
        ("FROM --platform=$BUILDPLATFORM a\nFROM 0\nRUN x\nFROM b\nRUN y\n", "", 4),
        ("FROM --platform=linux/s390x a\nRUN x\n", "", 1),
        ("FROM a AS one\nFROM b\nRUN x\n", "one", None),
        ("FROM a AS one\nFROM b\nRUN x\n", "0", None),
        ("FROM a AS one\nFROM b\nRUN x\n", "1", 2),
    ],
)
def test_what_needs_the_other_processor_is_found(dockerfile: str, target: str, line: int | None) -> None:
    found = foreign_run(read_stages(read_instructions(dockerfile), target))
    assert (None if found is None else found.first) == line


def salts(text: str, arguments: dict[str, str]) -> list[str]:
    return [line for line in salted(text, arguments).split("\n") if "EMBEDDED_ENGINE_CACHE_KEY_" in line]


def test_an_argument_that_env_uses_is_followed_by_one_that_depends_on_its_value() -> None:
    text = "ARG REV\nFROM a\nARG REV=none\nENV REV=$REV\n"

    lines = salted(text, {"REV": "1"}).split("\n")

    (salt,) = salts(text, {"REV": "1"})
    assert lines.index(salt) == 3
    assert [line for line in lines if line != salt] == text.split("\n")


def test_an_argument_that_only_run_uses_is_left_alone() -> None:
    text = "FROM a\nARG REV\nRUN echo $REV\n"

    assert salted(text, {"REV": "1"}) == text


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("FROM a\nARG REV=one\nLABEL r=${REV}\n", {"REV": "other"}),
        ("FROM a\nARG REV=two\nLABEL r=${REV}\n", {}),
        ("ARG REV=global\nFROM a\nARG REV\nLABEL r=${REV}\n", {}),
        ("ARG REV=another\nFROM a\nARG REV\nLABEL r=${REV}\n", {}),
        ("FROM a\nARG \\\n  REV=multiline\nLABEL r=${REV}\n", {}),
        ("FROM a\nARG REV=one OTHER=x\nLABEL r=${REV}\n", {}),
        ("FROM a\nARG REV=one\nLABEL r=${REV:-x}\n", {"REV": 'quote"d $and\nlines'}),
        ("FROM a\nARG REV=from\nARG COPY=$REV\nRUN x\n", {}),
    ],
)
def test_every_value_has_a_salt_of_its_own(text: str, arguments: dict[str, str]) -> None:
    reference = salts("FROM a\nARG REV=one\nLABEL r=${REV}\n", {})
    found = salts(text, arguments)

    assert len(found) == 1
    assert found != reference
    assert found == salts(text, arguments)


def test_another_argument_does_not_change_the_salt() -> None:
    text = "FROM a\nARG REV\nENV R=$REV\n"

    assert salted(text, {"OTHER": "1"}) == salted(text, {})


def test_the_salt_does_not_show_in_the_history() -> None:
    (salt,) = salts("FROM a\nARG REV\nENV R=$REV\n", {})
    name = salt.removeprefix("ARG ").removesuffix("=1")

    assert unsalted(f"/bin/sh -c #(nop) ARG REV {name}") == ""
    assert unsalted(f"|2 REV=a {name}=1 /bin/sh -c env") == "|1 REV=a /bin/sh -c env"
    assert unsalted(f"|1 {name}=1 /bin/sh -c env") == "/bin/sh -c env"
    assert unsalted("/bin/sh -c #(nop) ENV REV=$REV") == "/bin/sh -c #(nop) ENV REV=$REV"


def test_the_command_of_a_failed_step_is_told_as_it_was_run() -> None:
    found = read_instructions('FROM a\nRUN ["/bin/echo", "one two"]\nRUN --mount=type=cache,target=/x echo $A\n')

    assert command_of_step(found, "/bin/echo one two") == ["/bin/echo", "one two"]
    assert command_of_step(found, "--mount=type=cache,target=/x echo $A") == ["/bin/sh", "-c", "echo $A"]


def test_a_heredoc_is_the_command_of_its_step() -> None:
    step = """--mount=type=cache,target=/x eval "$(printf %b 'echo \\0047a\\0047\\nexit 3\\n')" # heredoc"""

    assert command_of_step([], step) == ["/bin/sh", "-c", "echo 'a'\nexit 3\n"]


def test_the_line_of_a_failed_step_is_found_if_it_is_the_only_one() -> None:
    found = read_instructions("FROM a\nCOPY \\\n  --chown=1 \\\n  a b\nRUN x\nRUN x\n")

    assert line_of_step(found, 'building at STEP "COPY   --chown=1   a b": no such file: "b"') == 2
    assert line_of_step(found, 'building at STEP "RUN x": exit status 1') is None
    assert line_of_step(found, "no such file") is None
