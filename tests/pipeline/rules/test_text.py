from __future__ import annotations

from hypothesis import given

from pipeline.rules.text import last_lines, listed, one_line, quoted, redacted
from tests.pipeline.strategies import anything


def test_terminal_codes_go() -> None:
    assert one_line("\x1b[1;31mred\x1b[0m and\n\tmore\r\n") == "red and more"
    assert last_lines("\x1b[2K\x1b[1mone\x1b[m\n") == "one"


def test_the_last_lines_that_say_something_are_kept() -> None:
    assert last_lines("a\nb\n\n  c  \r\nd\n   \n\n") == "b / c / d"
    assert last_lines("a\nb\n", count=1) == "b"
    assert last_lines("\n \n") == ""


def test_what_is_long_is_cut() -> None:
    assert len(one_line("x" * 100_000)) == 600
    assert len(last_lines(("y" * 100_000 + "\n") * 5)) == 3 * 300 + 2 * len(" / ")


@given(anything)
def test_nothing_that_a_terminal_would_obey_is_left(text: str) -> None:
    for shown in (one_line(text), last_lines(text)):
        assert not [letter for letter in shown if ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0]


@given(anything)
def test_a_quoted_text_is_short_and_printable(text: str) -> None:
    assert quoted(text).isprintable()
    assert quoted(text).encode()
    assert len(quoted(text)) < 900


def test_up_to_five_texts_are_listed() -> None:
    assert listed(("a", "b")) == "a, b"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"


def test_a_listed_text_with_control_characters_is_quoted() -> None:
    assert listed(("a\x1b[31m\n",)) == "'a\\x1b[31m\\n'"


def test_what_a_server_repeats_of_a_secret_is_hidden() -> None:
    assert redacted("Basic bW9uYTpodW50ZXIy, hunter2", ["hunter2"]) == "Basic ***, ***"
    assert redacted("bearer a.b-c_d== abc", ["abc"]) == "bearer *** abc"
