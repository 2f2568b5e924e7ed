"""The report of a run as Markdown, for a job's summary.

Pure. Text from outside (commit messages, branch names) is data: it is shown literally, on one line, and never formats,
links, mentions or ends anything (GitHub Flavored Markdown, section 2.4 and its extensions).
"""

from __future__ import annotations

import re

from pipeline.rules.checkout import Commit
from pipeline.rules.refs import CommitSha
from pipeline.rules.report import BuildReport, TagOutcome, TagReport
from pipeline.rules.text import without_terminal_codes

_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~\u200b]")
# GitHub looks for mentions, addresses, issues and emoji in the rendered text, after it decodes character references: a
# zero-width space separates them. A commit id stays as it is: it links to nothing but that commit of the repository.
_TAKEN_WHEN_RENDERED = re.compile(r"[@#:](?=\S)|(?<=\bgh)-(?=[0-9])|(?<=\bwww)\.(?=\S)", re.IGNORECASE)
_LONGEST_CELL = 200


def markdown_text(text: str, *, limit: int = _LONGEST_CELL) -> str:
    """Escape a text so that Markdown shows it literally, on one line, inside or outside a table.

    Args:
        text: Any text.
        limit: The maximum number of characters.
    """
    flat = " ".join(_INVISIBLE.sub(" ", without_terminal_codes(text)).split())
    cut = flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"
    return literal_text(cut)


def literal_text(text: str) -> str:
    """Return a text on one line as Markdown that shows it literally.

    Every ASCII punctuation character becomes a numeric character reference, which has no meaning in Markdown. What
    GitHub would still turn into a mention, an issue, a link or an emoji gets a zero-width space inside.
    """
    parted = _TAKEN_WHEN_RENDERED.sub(lambda match: f"{match[0]}\u200b", text)
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", parted)


def render_summary(report: BuildReport) -> str:
    """Render a run's report: digest, tags and their outcomes, how to pull, origin, and the duration of each step."""
    headline = "Image built and published" if report.built else "Image published before; its tags are up to date"
    if not report.built and any(tag.outcome in {TagOutcome.WRITTEN, TagOutcome.MOVED} for tag in report.tags):
        headline = "Image promoted without a new build"
    subject = Commit(sha=CommitSha(report.commit.sha), message=report.commit.message).subject
    sha = f"`{report.commit.short_sha}`"
    commit = sha if report.commit.url is None else f"[{sha}]({report.commit.url})"
    lines = [
        f"## {headline}",
        "",
        f"**Digest:** `{report.digest}`",
        "",
        "| Tag | Outcome |",
        "|---|---|",
        *(f"| `{tag.name}` | {_outcome(tag)} |" for tag in report.tags),
        "",
        "```bash",
        f"docker pull {report.primary}",
        f"docker pull {report.reference}",
        "```",
        "",
        "| Field | Value |",
        "|---|---|",
        f"| Image | `{report.image}` |",
        f"| Build | {markdown_text(report.origin)} |",
        f"| Commit | {commit} |",
        f"| Commit message | {markdown_text(subject)} |",
        f"| Ref | {markdown_text(report.ref)} |",
        f"| Platform | `{report.platform}` |",
        *(f"| {markdown_text(step.name.capitalize())} | {step.seconds:.1f} s |" for step in report.steps),
        "",
    ]
    return "\n".join(lines)


def _outcome(tag: TagReport) -> str:
    text = tag.outcome.value
    if tag.previous_digest is not None:
        text += f", {'still' if tag.outcome is TagOutcome.KEPT else 'was'} `{tag.previous_digest[:19]}…`"
    return text if tag.reason is None else f"{text}: {markdown_text(tag.reason)}"
