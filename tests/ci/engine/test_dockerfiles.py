from __future__ import annotations

import pytest

from ci.engine.dockerfiles import base_images, check_dockerfile, instructions, run_command, salted
from ci.engine.errors import NotServedError, QueryFailedError


def test_instructions_are_read_over_lines_and_comments() -> None:
    found = instructions("# comment\nFROM a AS b\n\nRUN one \\\n  # inside\n  && two\nCOPY x y\n")

    assert [(each.keyword, each.rest, each.first, each.last) for each in found] == [
        ("FROM", "a AS b", 1, 1),
        ("RUN", "one && two", 3, 5),
        ("COPY", "x y", 6, 6),
    ]


def test_the_escape_character_can_be_another() -> None:
    found = instructions("# escape=`\nFROM a\nRUN one `\n two\n")

    assert found[1].rest == "one two"


@pytest.mark.parametrize("line", ["RUN <<EOF", "COPY <<-'END' /x", 'RUN python3 <<"PY"'])
def test_heredocs_are_refused_with_their_line(line: str) -> None:
    with pytest.raises(NotServedError, match="line 2"):
        instructions(f"FROM a\n{line}\n")


@pytest.mark.parametrize("line", ['RUN cat <<< "x"', "RUN echo $((1<<2))", "RUN echo '1 << 3'"])
def test_what_only_looks_like_a_heredoc_passes(line: str) -> None:
    assert len(instructions(f"FROM a\n{line}\n")) == 2


def test_bases_are_found() -> None:
    found = instructions("FROM --platform=x one AS first\nCOPY --from=two a b\nRUN --mount=type=bind,from=three x\n")

    assert base_images(found) == ["one", "two", "three"]


def test_an_argument_that_env_uses_gets_its_value() -> None:
    text = "ARG REV\nFROM a\nARG REV=none\nENV REV=$REV\nFROM b\nARG REV\nLABEL r=${REV:-x}\n"

    salt = salted(text, {"REV": "1a b"})

    assert salt.text == 'ARG REV\nFROM a\nARG REV="1a b"\nENV REV=$REV\nFROM b\nARG REV="1a b"\nLABEL r=${REV:-x}\n'
    assert salt.use_cache


def test_an_argument_that_only_run_uses_is_left_alone() -> None:
    text = "FROM a\nARG REV\nRUN echo $REV\n"

    assert salted(text, {"REV": "1"}).text == text
    assert salted(text, {"OTHER": "1"}).text == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("FROM a\nARG REV OTHER\nENV A=$REV\n", "1"),
        ("FROM a\nARG \\\n  REV\nENV A=$REV\n", "1"),
        ("FROM a\nARG REV\nENV A=$REV\n", 'quote"d'),
        ("FROM a\nARG REV\nENV A=$REV\n", "$dollar"),
        ("FROM a\nARG REV\nENV A=$REV\n", "two\nlines"),
    ],
)
def test_what_cannot_be_written_into_its_line_is_built_without_the_cache(text: str, value: str) -> None:
    salt = salted(text, {"REV": value})

    assert salt.text == text
    assert not salt.use_cache


def test_the_command_of_a_failed_step_is_told_as_it_was_run() -> None:
    found = instructions('FROM a\nRUN ["/bin/echo", "one two"]\nRUN --mount=type=cache,target=/x echo $A\n')

    assert run_command(found, "/bin/echo one two") == ["/bin/echo", "one two"]
    assert run_command(found, "--mount=type=cache,target=/x echo $A") == ["/bin/sh", "-c", "echo $A"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "RUN x\n"])
def test_a_dockerfile_without_a_base_is_an_error(text: str) -> None:
    with pytest.raises(QueryFailedError, match="Dockerfile"):
        check_dockerfile(instructions(text), "Dockerfile")
