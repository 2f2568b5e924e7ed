from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.dockerfile import Heredoc, Instruction, read_instructions


def read(text: str) -> list[tuple[str, str, int, int]]:
    return [(each.keyword, each.rest, each.first, each.last) for each in read_instructions(text)]


def heredocs(text: str) -> list[tuple[str, ...]]:
    return [tuple(heredoc.name for heredoc in each.heredocs) for each in read_instructions(text)]


def test_instructions_are_read_over_lines_and_comments() -> None:
    assert read("# comment\nfrom a AS b\n\nRUN one \\\n  # inside\n\n  && two\nCOPY x y\n") == [
        ("FROM", "a AS b", 1, 1),
        ("RUN", "one && two", 3, 6),
        ("COPY", "x y", 7, 7),
    ]


def test_lines_may_end_as_on_windows() -> None:
    assert read("\ufeffFROM a\r\nRUN one \\\r\n two\r\n") == [("FROM", "a", 0, 0), ("RUN", "one two", 1, 2)]


def test_the_escape_character_can_be_another() -> None:
    assert read("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN one `\n two \\\n") == [
        ("FROM", "a", 2, 2),
        ("RUN", "one two \\", 3, 4),
    ]


@pytest.mark.parametrize("first", ["# a comment", "", "FROM a"])
def test_a_directive_counts_only_above_everything_else(first: str) -> None:
    assert read(f"{first}\n# escape=`\nRUN one \\\n two\n")[-1] == ("RUN", "one two", 2, 3)


def test_an_instruction_that_goes_on_to_the_end_is_read() -> None:
    assert read("FROM a\nRUN one \\\n") == [("FROM", "a", 0, 0), ("RUN", "one", 1, 1)]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("RUN <<EOF", ("EOF",)),
        ('RUN <<"EOF"', ("EOF",)),
        ("RUN <<'EOF' cat > /x", ("EOF",)),
        ("COPY <<EOF <<END /x/", ("EOF", "END")),
        ("RUN 3<<EOF cat", ("EOF",)),
        ("ONBUILD RUN <<EOF", ("EOF",)),
    ],
)
def test_the_text_of_a_heredoc_belongs_to_its_instruction(line: str, names: tuple[str, ...]) -> None:
    body = "".join(f"FROM {name}\n{name}\n" for name in names)
    found = read_instructions(f"FROM a\n{line}\n{body}CMD x\n")

    assert [each.keyword for each in found] == ["FROM", line.partition(" ")[0], "CMD"]
    assert tuple(heredoc.name for heredoc in found[1].heredocs) == names
    assert (found[1].first, found[1].last) == (1, 1 + 2 * len(names))


def test_a_heredoc_with_a_dash_may_end_behind_tabs() -> None:
    assert [each.keyword for each in read_instructions("FROM a\nRUN <<-EOF\n\tone\n\tEOF\nCMD x\n")][-1] == "CMD"
    assert read("FROM a\nRUN <<EOF\n\tone\n\tEOF\nCMD x\n")[-1] == ("RUN", "<<EOF", 1, 5)


@pytest.mark.parametrize(
    "line",
    ['RUN cat <<< "x"', "RUN echo $((1<<2))", "RUN echo '1 << 3'", 'RUN echo "a <<EOF b"', "ENV A=<<EOF", "RUN a << b"],
)
def test_what_only_looks_like_a_heredoc_has_none(line: str) -> None:
    assert heredocs(f"FROM a\n{line}\nCMD x\n") == [(), (), ()]


def test_a_heredoc_has_its_text() -> None:
    (found,) = read_instructions("RUN <<-EOF <<'END'\n\tone\n\n\tEOF\n\ttwo $X\r\nEND\n")

    assert found.heredocs == (
        Heredoc("EOF", "one\n\n", "\tone\n\n", expands=True, ended=True),
        Heredoc("END", "\ttwo $X\r\n", "\ttwo $X\r\n", expands=False, ended=True),
    )


def test_a_heredoc_without_an_end_goes_on_to_the_end_of_the_file() -> None:
    assert [each.ended for each in read_instructions("RUN <<EOF\nx\n")[0].heredocs] == [False]


_PIECES = st.sampled_from(
    ["FROM a", "RUN x", "COPY ", "\\", "`", "\n", "<<E", "<<-E", "E", "# escape=`", "#", '"', "\r"]
)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map("".join)))
def test_any_text_is_read_and_no_line_twice(text: str) -> None:
    found: list[Instruction] = read_instructions(text)
    lines = text.split("\n")

    assert all(each.first <= each.last < len(lines) for each in found)
    assert all(one.last < other.first for one, other in pairwise(found))
