"""Markdown as a reader sees it: rendered by GitHub's parser with its extensions, then parsed as HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options
from hypothesis import strategies as st
from typing_extensions import override

from tests.pipeline.strategies import anything

_ZERO_WIDTH_SPACE = "\u200b"

HOSTILE = [
    "`code` ``` fence",
    "```\nfence\n```",
    "````",
    "| a | b |",
    "\\| \\` \\",
    "<!-- hidden",
    "-->",
    "<!-- end of deployment -->",
    "</details></td></table></code>",
    "<script>alert(1)</script>",
    "@team @org/team please",
    "fixes #123, org/repo#5, GH-7",
    "![](https://example.com/x.png) [a](b) <https://example.com>",
    "https://example.com www.example.com a@example.com :tada:",
    "x&me@example.com",
    "a|me@example.com|mailto:me@example.com|xmpp:me@example.com",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;https://example.com\x07link\x1b]8;;\x07",
    "one\r\ntwo\rthree\n\n# four\n- [x] five",
    "&lt;b&gt; &#64;team &amp;",
    "$x^2$ ~~a~~ **b** _c_",
    "👍🏽 émoji 漢字",
    "x" * 65_536,
    "|" * 65_536,
    "\u202eevil\u2066",
    "report<<EOF\nEOF\ndigest=sha256:0\n",
    "::error::x\n::set-output name=digest::y",
    "{{ report.digest }} {% raw %} ${{ secrets.GITHUB_TOKEN }} $(id)",
]
"""Texts that are known to break escaping."""

_short = [text for text in HOSTILE if len(text) < 1000]
any_text = st.one_of(anything, st.lists(st.sampled_from([*_short, "a", " ", "\n"]), max_size=6).map("".join))


@dataclass
class Page(HTMLParser):
    """A rendered page.

    Attributes:
        tags: Every element, in order.
        targets: The targets of links and images.
        cells: The text of each table cell, row by row.
        blocks: The text of each fence.
        text: All text.
    """

    tags: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._into = ""

    @property
    def table(self) -> dict[str, str]:
        """The rows of two cells, by their first cell."""
        return {row[0]: row[1] for row in self.cells if len(row) == 2}

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in {"href", "src"}]
        match tag:
            case "tr":
                self.cells.append([])
            case "td" | "th":
                self.cells[-1].append("")
                self._into = "cell"
            case "pre":
                self.blocks.append("")
                self._into = "block"
            case _:
                pass

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th", "pre"}:
            self._into = ""

    @override
    def handle_data(self, data: str) -> None:
        self.text += data
        if self._into == "cell":
            self.cells[-1][-1] += data
        elif self._into == "block":
            self.blocks[-1] += data


def page(markdown: str) -> Page:
    """Render Markdown and parse the result."""
    read = Page()
    read.feed(github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))
    read.close()
    return read


def seen(text: str) -> str:
    """Return a text without zero-width spaces."""
    return text.replace(_ZERO_WIDTH_SPACE, "")


def flattened(text: str) -> str:
    """Return a text on one line without terminal codes and invisible characters."""
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)
    invisible = {*range(0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F)}
    invisible |= {*range(0x2060, 0x206A), 0xFEFF, *range(0xD800, 0xE000)}
    return " ".join("".join(" " if ord(letter) in invisible else letter for letter in text).split())
