from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.rules.job_summary import markdown_text, render_summary
from pipeline.rules.report import TagOutcome, TagReport
from pipeline.rules.tagging import TagKind
from tests.pipeline.samples import DIGEST, IMAGE, OTHER_DIGEST, SHA, build_report
from tests.pipeline.strategies import anything

ZERO_WIDTH_SPACE = "\u200b"
REFERENCE = re.compile(r"&#[0-9]+;")
HOSTILE = [
    "`code` ``` fence",
    "| a | b |",
    "<!-- hidden",
    "</details></td></table>",
    "<script>alert(1)</script>",
    "@team @org/team please",
    "fixes #123, org/repo#5, GH-7",
    "![](https://example.com/x.png) [a](b) <https://example.com>",
    "https://example.com www.example.com a@example.com :tada:",
    "\x1b[31mred\x1b[0m",
    "one\r\ntwo\rthree\n\n# four",
    "&lt;b&gt; &#64;team &amp;",
    "\\`\\|",
    "$x^2$ ~~a~~ **b** _c_",
    "👍🏽 émoji 漢字",
    "x" * 65_536,
    "|" * 65_536,
    "\u202eevil\u2066",
    "::error::x",
]
_hostile = st.lists(st.sampled_from([*HOSTILE[:15], "a", " ", "\n"]), max_size=6).map("".join)
any_text = st.one_of(anything, _hostile)
hostile = pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))


def _shown(markdown: str) -> str:
    """Return what a reader sees: character references decoded, what has no width left out."""
    return html.unescape(markdown).replace(ZERO_WIDTH_SPACE, "")


def _flattened(text: str) -> str:
    """Return a text on one line without terminal codes and without characters that cannot be seen."""
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)
    invisible = {*range(0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F)}
    invisible |= {*range(0x2060, 0x206A), 0xFEFF, *range(0xD800, 0xE000)}
    return " ".join("".join(" " if ord(letter) in invisible else letter for letter in text).split())


@given(any_text)
@example(" @team\n")
@example("\x1b[31mred\x1b[0m\x00")
def test_a_text_shows_as_itself_on_one_line(text: str) -> None:
    assert _shown(markdown_text(text, limit=5000)) == _flattened(text)


@hostile
def test_a_hostile_text_shows_as_itself(text: str) -> None:
    assert _shown(markdown_text(text, limit=100_000)) == _flattened(text)


@given(any_text)
def test_no_punctuation_is_left_that_markdown_could_take(text: str) -> None:
    written = markdown_text(text)
    assert "\n" not in written
    assert re.search(r"[!-/:-@\[-`{-~]", REFERENCE.sub("", written)) is None
    assert written.encode() is not None


@given(any_text)
@example("@team")
@example("#123")
@example("org/repo#5")
@example("GH-7")
@example("https://example.com")
@example("a@example.com")
@example(":tada:")
def test_no_mention_reference_link_or_emoji_is_left_once_references_are_decoded(text: str) -> None:
    """GitHub looks for these in the rendered text, where a character reference is a character again."""
    decoded = html.unescape(markdown_text(text))
    assert re.search(r"[@#]\w|:[\w/+-]|\bGH-[0-9]", decoded, re.IGNORECASE) is None


@given(any_text, st.integers(1, 300))
def test_what_is_long_is_cut(text: str, limit: int) -> None:
    seen = _shown(markdown_text(text, limit=limit))
    assert len(seen) <= limit
    assert seen == _flattened(text) or seen.endswith("…")


@hostile
def test_a_hostile_message_or_ref_does_not_change_the_summary(text: str) -> None:
    report = build_report()
    commit = report.commit.model_copy(update={"message": text})
    summary = render_summary(report.model_copy(update={"commit": commit, "ref": f"refs/heads/{text}"}))
    plain = render_summary(report)
    assert summary.count("\n") == plain.count("\n")
    for mark in ("`", "|", "<", "@", "#", "![", "]("):
        assert REFERENCE.sub("", summary).count(mark) == REFERENCE.sub("", plain).count(mark)


@hostile
def test_a_hostile_reason_does_not_leave_its_cell(text: str) -> None:
    tag = TagReport(
        name="latest", kind=TagKind.LATEST, reference=IMAGE.tagged("latest"), outcome=TagOutcome.KEPT, reason=text
    )
    summary = render_summary(build_report().model_copy(update={"tags": (tag,)}))
    (row,) = [line for line in summary.splitlines() if line.startswith("| `latest`")]
    assert row.count("|") == 3


def test_the_summary_says_digest_tags_and_how_to_pull() -> None:
    summary = render_summary(build_report())
    assert f"**Digest:** `{DIGEST}`" in summary
    assert "| `sha-9c68c4a` | present |" in summary
    assert "| `v1.2.3` | written |" in summary
    kept = next(line for line in summary.splitlines() if line.startswith("| `latest`"))
    assert _shown(kept) == f"| `latest` | kept, still `{OTHER_DIGEST[:19]}…`: v2.0.0 is a higher release than v1.2.3 |"
    assert f"docker pull {IMAGE.tagged('sha-9c68c4a')}\ndocker pull {IMAGE.at(DIGEST)}\n" in summary
    assert f"[`9c68c4a`](https://github.com/linkradar/linkradar/commit/{SHA})" in summary
    assert "| Commit message | Save links |" in summary
    assert "| Check the registry | 0.2 s |" in summary


def test_the_headline_says_what_the_run_did() -> None:
    report = build_report()
    assert render_summary(report).startswith("## Image promoted without a new build\n")
    assert render_summary(report.model_copy(update={"built": True})).startswith("## Image built and published\n")
    again = report.model_copy(update={"tags": report.tags[:1]})
    assert render_summary(again).startswith("## Image published before; its tags are up to date\n")


def test_a_commit_elsewhere_has_no_link() -> None:
    report = build_report()
    summary = render_summary(report.model_copy(update={"commit": report.commit.model_copy(update={"url": None})}))
    assert "| Commit | `9c68c4a` |" in summary
