"""Jinja templates in which every value is escaped for Markdown by default.

A value in `{{ … }}` is shown literally, on one line, unless it is `Markdown`. Only our own code creates that type, so
no text from outside can be taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined

from pipeline.rules.job_summary import literal_text, markdown_text
from pipeline.rules.text import without_terminal_codes

WEB_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/%-]*)?")
"""A web address without user, query and fragment, in characters that have no meaning in Markdown."""

_PLAIN_CODE = re.compile(r"[^`|<>\\]+")
_REFERENCE = re.compile(r"[A-Za-z0-9._:/@\[\]-]+")
_LINKS_OF_TERMINALS = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_NOT_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_LONGEST_CODE = 300
_SHORTEST_FENCE = 3


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def render(template: str, values: Mapping[str, object]) -> str:
    """Render a template of this package.

    Args:
        template: Its file name.
        values: Its variables; an undefined one is an error.
    """
    return _environment().get_template(template).render(values)


def code(text: str) -> Markdown:
    """Return text as code, inside or outside a table: a code span, or a `<code>` element if a span cannot show it."""
    flat = " ".join(_NOT_SHOWN.sub(" ", without_terminal_codes(text)).split())
    cut = flat if len(flat) <= _LONGEST_CODE else flat[: _LONGEST_CODE - 1] + "…"
    if _PLAIN_CODE.fullmatch(cut):
        return Markdown(f"`{cut}`")
    # A code span has no escapes. In an element they work, but addresses become links as in any text.
    return Markdown(f"<code>{literal_text(cut)}</code>")


def link(text: str, target: str | None) -> Markdown:
    """Return text as a link, or as plain text if the target is not a plain web address."""
    shown = text if isinstance(text, Markdown) else Markdown(markdown_text(text))
    if target is None or WEB_URL.fullmatch(target) is None:
        return shown
    return Markdown(f"[{shown}]({target})")


def reference(name: str) -> Markdown:
    """Return an image reference for a command in a fenced block.

    Raises:
        ValueError: It is not valid; reports are checked before they are rendered.
    """
    if _REFERENCE.fullmatch(name) is None:
        msg = "invalid characters in an image reference"
        raise ValueError(msg)
    return Markdown(name)


def text(value: str, limit: int) -> Markdown:
    """Return text on one line, cut to a length other than that of a table cell."""
    return Markdown(markdown_text(value, limit=limit))


def fence(content: str, language: str = "") -> Markdown:
    """Return lines as a fenced block, whose fence is longer than any run of backticks in them.

    Args:
        content: Any text; terminal codes are removed.
        language: The language for syntax highlighting; from the template, never from outside.
    """
    lines = plain_lines(content).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", lines)), default=0)
    mark = "`" * max(_SHORTEST_FENCE, longest + 1)
    return Markdown(f"{mark}{language}\n{lines}\n{mark}")


def task(item: str, ticked: Collection[str]) -> Markdown:
    """Return an item of a task list.

    Args:
        item: Its Markdown; from the template, never from outside.
        ticked: The items that are ticked.
    """
    return Markdown(f"- [{'x' if item in ticked else ' '}] {item}")


def plain_lines(content: str) -> str:
    """Return text without terminal codes and hidden characters, with newlines for all kinds of line ends."""
    without_codes = without_terminal_codes(_LINKS_OF_TERMINALS.sub("", content))
    return _NOT_SHOWN.sub("", without_codes.replace("\r\n", "\n").replace("\r", "\n"))


def _finalize(value: object) -> str:
    match value:
        case Markdown():
            return value
        case str() | int():
            return markdown_text(str(value))
        case Undefined():
            return str(value)  # raises UndefinedError
        case _:
            msg = f"a template cannot show a value of type {type(value).__name__}"
            raise TypeError(msg)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ci.github"),
        undefined=StrictUndefined,
        finalize=_finalize,
        autoescape=False,  # noqa: S701 - `finalize` escapes for Markdown; HTML escapes on top would show `&amp;#64;`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters |= {
        "code": code,
        "link": link,
        "reference": reference,
        "text": text,
        "fence": fence,
        "task": task,
    }
    return environment
