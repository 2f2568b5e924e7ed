from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.dockerfile.variables import ExpansionError, Scope, expand, read_scopes
from pipeline.rules.dockerfile import read_instructions

AUTOMATIC = {"TARGETARCH": "amd64"}


def last(text: str, given: dict[str, str] | None = None, **base: str) -> Scope:
    """Return what is known at the end of a Dockerfile whose base image `a` has this environment."""
    return read_scopes(read_instructions(f"{text}\nRUN end\n"), given or {}, AUTOMATIC, {("a", ""): base})[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A ${A} ${A}b $Ab", "one one oneb "),
        ("${NO:-x} ${NO-x} ${EMPTY:-x} ${EMPTY-x}.", "x x x ."),
        ("${A:+x} ${EMPTY:+x} ${EMPTY+x} ${NO+x}.", "x  x ."),
        ("${NO:-$A} ${NO:-a b} ${NO:-${A}}", "one a b one"),
        (r"\$A \\ \n $ $(x) $1.", r"$A \ n $ $(x) ."),
        ("'$A' \"$A\" it's", "'one' \"one\" it's"),
        ("\\\n", "\n"),
    ],
)
def test_the_text_of_a_heredoc_is_expanded(text: str, expected: str) -> None:
    assert expand(text, {"A": "one", "EMPTY": ""}, quotes=False) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("'$A'", "$A"), ('"$A b"', "one b"), (r'"\$A \n \""', r'$A \n "'), ("a'b'\"c\"", "abc")]
)
def test_a_word_is_expanded_without_its_quotes(text: str, expected: str) -> None:
    assert expand(text, {"A": "one"}, quotes=True) == expected


@pytest.mark.parametrize("text", ["${A#x}", "${A%%x}", "${A/x/y}", "${A:?x}", "${A:-x", "${A", "${}", "${:x}"])
def test_other_substitutions_are_errors(text: str) -> None:
    with pytest.raises(ExpansionError):
        expand(text, {"A": "one"}, quotes=False)


@given(st.text(), st.booleans())
def test_any_text_is_expanded_or_an_error(text: str, quotes: bool) -> None:  # noqa: FBT001 - from hypothesis
    try:
        expand(text, {}, quotes=quotes)
    except ExpansionError:
        assert "$" in text


@given(st.text().filter(lambda text: not {"$", "\\"} & set(text)))
def test_a_text_without_variables_and_backslashes_stays(text: str) -> None:
    assert expand(text, {}, quotes=False) == text


@pytest.mark.parametrize(
    ("text", "given", "variables"),
    [
        ("FROM a\nARG X=1 Y", {}, {"X": "1"}),
        ("FROM a\nARG X=1 Y", {"X": "2", "Y": "3", "Z": "4"}, {"X": "2", "Y": "3"}),
        ("ARG X=1\nFROM a", {}, {}),
        ("ARG X=1\nFROM a\nARG X", {}, {"X": "1"}),
        ("FROM a\nARG TARGETARCH", {}, {"TARGETARCH": "amd64"}),
        ("FROM a\nENV X=env\nARG X=arg", {"X": "given"}, {"X": "env"}),
        ("FROM a\nENV X='a b' Y=\"c $Z\" Z=d\\ e", {}, {"X": "a b", "Y": "c ", "Z": "d e"}),
        ("FROM a\nENV X a b", {}, {"X": "a b"}),
        ("FROM a\nARG X=1\nENV Y=$X", {}, {"X": "1", "Y": "1"}),
        ("FROM a AS One\nARG X=1\nENV Y=2\nFROM one", {}, {"X": "1", "Y": "2"}),
        ("FROM a\nENV Y=2\nFROM 0", {}, {"Y": "2"}),
        ("FROM a\nENV Y=2\nFROM scratch", {}, {}),
        ("FROM scratch\nENV X=${A#b}", {}, {"X": "${A#b}"}),
    ],
)
def test_variables_are_those_of_the_stage(text: str, given: dict[str, str], variables: dict[str, str]) -> None:
    assert last(text, given).variables == variables


def test_the_environment_of_the_base_image_counts_and_overrides_arguments() -> None:
    scope = last("FROM a\nARG VERSION=1\nENV PATH=/app:$PATH", VERSION="2", PATH="/bin")

    assert scope.variables == {"VERSION": "2", "PATH": "/app:/bin"}


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("FROM a:1", ("a:1", "")),
        ("ARG V=2\nFROM --platform=linux/$TARGETARCH a:$V", ("a:2", "linux/amd64")),
        ("FROM a AS x\nFROM x", ("a", "")),
        ("FROM scratch", None),
    ],
)
def test_the_base_image_of_a_stage_is_found(text: str, base: tuple[str, str] | None) -> None:
    assert last(text).base == base
