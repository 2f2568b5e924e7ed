from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from jinja2 import Environment, UndefinedError

from ci.github import markdown
from ci.github.markdown import Markdown, code, fence, link, plain_lines, reference, text
from tests.ci.github.gfm import HOSTILE, any_text, flattened, page, seen

hostile = pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))


def _render(template: str, **values: object) -> str:
    environment: Environment = markdown._environment()
    return environment.from_string(template).render(values)


@given(any_text)
@example("one\r\ntwo | three")
@example("x" * 65_536)
def test_a_value_shows_as_itself_in_one_cell(value: str) -> None:
    shown = page(_render("| a | b |\n|---|---|\n| {{ value }} | end |\n", value=value))
    want = flattened(value)
    got = seen(shown.cells[1][0])
    assert got == want or (got.endswith("…") and want.startswith(got[:-1].rstrip()))
    assert shown.cells[1][1] == "end"
    assert len(shown.cells) == 2
    assert set(shown.tags) <= {"table", "thead", "tbody", "tr", "th", "td"}


@given(any_text)
@example("a|b`c")
@example("`")
@example("a@b.c|d")
@example("x&me@example.com")
def test_code_shows_a_text_as_itself_in_a_cell_and_in_a_line(value: str) -> None:
    want = flattened(value)
    in_a_cell = page(f"| a | b |\n|---|---|\n| {code(value)} | end |\n")
    in_a_line = page(f"before {code(value)} after\n")
    for got in (in_a_cell.cells[1][0], in_a_line.text.strip().removeprefix("before ").removesuffix(" after")):
        assert seen(got) == want or (seen(got).endswith("…") and want.startswith(seen(got)[:-1]))
    assert set(in_a_line.tags) == {"p", "code"}
    assert [row[-1] for row in in_a_cell.cells] == ["b", "end"]


@given(any_text)
@example("```\n````\n`")
@example("~~~")
@example("    ```")
def test_a_fence_shows_its_lines_and_nothing_ends_it(value: str) -> None:
    shown = page(f"before\n\n{fence(value, 'text')}\n\nafter\n")
    assert shown.tags == ["p", "pre", "code", "p"]
    assert shown.blocks[0].removesuffix("\n") == plain_lines(value).strip("\n")
    assert shown.text.endswith("after\n")


@hostile
def test_nothing_that_a_terminal_obeys_is_left_in_lines(hostile: str) -> None:
    lines = plain_lines(hostile)
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", lines) is None
    assert plain_lines("\x1b]8;;https://example.com\x07link\x1b]8;;\x07 \x1b[1mbold\x1b[m") == "link bold"
    assert plain_lines("a\r\nb\rc") == "a\nb\nc"


def test_no_template_can_forget_to_escape() -> None:
    for template in ("{{ a }}", "{{ a | safe }}", "{{ a ~ '' }}", "{{ [a] | join }}", "{{ a | upper }}", "{{ a | e }}"):
        shown = _render(template, a="<b>|`@x")
        assert re.search(r"[<|`@]", shown) is None
    assert _render("{% macro m() %}{{ a }}{% endmacro %}{{ m() }}", a="<b>").count("<") == 0


def test_what_is_not_known_or_has_no_text_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        _render("{{ missing }}")
    with pytest.raises(UndefinedError):
        _render("{{ a.missing }}", a="")
    with pytest.raises(TypeError, match="NoneType"):
        _render("{{ a }}", a=None)


def test_a_link_goes_to_plain_web_addresses_alone() -> None:
    assert link("a|b", "https://github.com/o/r/actions/runs/1") == "[a&#124;b](https://github.com/o/r/actions/runs/1)"
    assert link(code("v1"), "http://[::1]:80/x") == "[`v1`](http://[::1]:80/x)"
    for target in ("javascript:alert(1)", "https://a/ (x", "https://a/)b", "https://a/\n", "https://u:p@a/", None):
        assert link("run", target) == "run"


@pytest.mark.parametrize("name", ["", "a b", "a`b", "a\nb", "$(id)", "a;b", "é"])
def test_only_a_reference_goes_into_a_command(name: str) -> None:
    with pytest.raises(ValueError, match="reference"):
        reference(name)


def test_a_text_can_be_longer_than_a_cell() -> None:
    assert len(text("x" * 1000, 600)) == 600
    assert isinstance(text("x", 600), Markdown)
