"""The rows are Dagger's own: what its evaluation of `.env` gives for the same text."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.settings.shell_words import ValueSyntaxError, evaluate

VARIABLES = {"WORD": "one", "WORDS": "two  words", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("services/api", "services/api"),
        ("a   b # c", "a   b # c"),
        ("", ""),
        (" a", " a"),
        ("!@#%^&*()", "!@#%^&*()"),
        ("cost$5", "cost$5"),
        ('"a b c"', "a b c"),
        ("'a $WORD'", "a $WORD"),
        ('"a" # comment', "a"),
        ('"a"#b', "a#b"),
        (r"a\ b\ c", "a b c"),
        ("hello,  nice '$WORD'", "hello, nice $WORD"),
        ("$WORD-x", "one-x"),
        ("${WORD}x", "onex"),
        ('"${WORDS}"', "two  words"),
        ("$WORDS", "two words"),
        ("${NONE:-default}", "default"),
        ("${NONE-}", ""),
        ("${EMPTY:-$WORD}", "one"),
        (r'"[\"a\", \"$WORD\"]"', '["a", "one"]'),
        ("""["a", "b"]""", "[a, b]"),
        (r'"\x"', r"\x"),
        ('"$ $5"', "$ $5"),
    ],
)
def test_a_value_is_what_dagger_makes_of_it(text: str, value: str) -> None:
    assert evaluate(text, VARIABLES.get) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("$NONE", "the variable NONE is not set"),
        ("$EMPTY", "the variable EMPTY is not set"),
        ("'open", "single quotes"),
        ('"open', "single quotes"),
        ("$(date)", "single quotes"),
        ('"`date`"', "single quotes"),
        ("'a'; b", "single quotes"),
        ("${WORD#o}", "only"),
        ("${1}", "only"),
    ],
)
def test_what_only_a_shell_could_do_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(ValueSyntaxError, match=problem.replace("$", r"\$")):
        evaluate(text, VARIABLES.get)


@given(st.text().filter(lambda text: "'" not in text))
def test_single_quotes_protect_everything(text: str) -> None:
    assert evaluate(f"'{text}'", VARIABLES.get) == text


@given(st.text())
def test_any_text_is_a_value_or_an_error_of_ours(text: str) -> None:
    with suppress(ValueSyntaxError):
        assert isinstance(evaluate(text, VARIABLES.get), str)
