"""Templates whose every value is escaped for Markdown, so that nobody can forget it.

What a template writes by `{{ … }}` is shown as itself, on one line, unless one of the filters here has made Markdown of
it. A text from outside cannot pass for such Markdown: only this file makes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined

from ci.github.urls import WEB_URL
from pipeline.rules.job_summary import markdown_text
from pipeline.rules.text import without_terminal_codes

_PLAIN_CODE = re.compile(r"[A-Za-z0-9._:/@+=\[\]-]+")
_REFERENCE = re.compile(r"[A-Za-z0-9._:/@\[\]-]+")
_LINKS_OF_TERMINALS = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_NOT_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_LONGEST_CODE = 300
_SHORTEST_FENCE = 3


class Markdown(str):
    """A text that is Markdown already."""

    __slots__ = ()


def render(template: str, values: Mapping[str, object]) -> str:
    """Render a template of this package.

    Args:
        template: Its file name.
        values: What it may name; a name that is not here is an error.
    """
    return _environment().get_template(template).render(values)


def code(text: str) -> Markdown:
    """Show a text as code, inside or outside a table: a code span, or an element where its letters need one."""
    flat = " ".join(_NOT_SHOWN.sub(" ", without_terminal_codes(text)).split())
    cut = flat if len(flat) <= _LONGEST_CODE else flat[: _LONGEST_CODE - 1] + "…"
    if _PLAIN_CODE.fullmatch(cut):
        return Markdown(f"`{cut}`")
    # A code span has no escapes; in an element character references work, and GitHub looks for no mentions.
    return Markdown(f"<code>{_PUNCTUATION.sub(lambda match: f'&#{ord(match[0])};', cut)}</code>")


def link(text: str, target: str | None) -> Markdown:
    """Link a text, or show it without a link where the target is none or no plain web address."""
    shown = text if isinstance(text, Markdown) else Markdown(markdown_text(text))
    if target is None or WEB_URL.fullmatch(target) is None:
        return shown
    return Markdown(f"[{shown}]({target})")


def reference(name: str) -> Markdown:
    """Write an image's reference as part of a command in a fence.

    Raises:
        ValueError: It is none; reports are checked before they are rendered.
    """
    if _REFERENCE.fullmatch(name) is None:
        msg = "an image's reference has characters that no reference can have"
        raise ValueError(msg)
    return Markdown(name)


def text(value: str, limit: int) -> Markdown:
    """Show a text on one line, cut to a length other than a table cell's."""
    return Markdown(markdown_text(value, limit=limit))


def fence(content: str, language: str = "") -> Markdown:
    """Show lines as they are, in a fence that is longer than any run of backticks in them.

    Args:
        content: Any text; what a terminal would obey is left out.
        language: What GitHub colours it as; written in the template, never from outside.
    """
    lines = plain_lines(content).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", lines)), default=0)
    mark = "`" * max(_SHORTEST_FENCE, longest + 1)
    return Markdown(f"{mark}{language}\n{lines}\n{mark}")


def plain_lines(content: str) -> str:
    """Return a text without terminal codes and hidden characters; each kind of line end becomes a newline."""
    without_codes = without_terminal_codes(_LINKS_OF_TERMINALS.sub("", content))
    return _NOT_SHOWN.sub("", without_codes.replace("\r\n", "\n").replace("\r", "\n"))


def _finalize(value: object) -> str:
    match value:
        case Markdown():
            return value
        case str() | int():
            return markdown_text(str(value))
        case Undefined():
            return str(value)  # raises, as the environment is strict
        case _:
            msg = f"a template writes {type(value).__name__}, which has no text of its own"
            raise TypeError(msg)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ci.github"),
        undefined=StrictUndefined,
        finalize=_finalize,
        autoescape=False,  # noqa: S701 - `finalize` escapes for Markdown; for HTML on top of that would show `&amp;#64;`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters |= {"code": code, "link": link, "reference": reference, "text": text, "fence": fence}
    return environment
