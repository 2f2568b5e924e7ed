"""Prints the result of a command to standard output, and what a run did to standard error."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import assert_never

from rich.console import Console

from ci.cli.console import print_verbatim
from pipeline.rules.errors import UsageError
from pipeline.rules.report import BuildReport, PlanReport, TagForecast, TagOutcome

_STYLES = {
    TagOutcome.WRITTEN: "green",
    TagOutcome.MOVED: "cyan",
    TagOutcome.PRESENT: "dim",
    TagOutcome.KEPT: "yellow",
}


def print_answer(text: str) -> None:
    """Write the answer to standard output as UTF-8, followed by a newline.

    Raises:
        UsageError: Standard output cannot be written to.
    """
    try:
        sys.stdout.buffer.write(f"{text}\n".encode(errors="surrogateescape"))
        sys.stdout.buffer.flush()
    except OSError as error:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or Python tries to flush it again at exit
        msg = f"The answer could not be written to standard output: {error.strerror}."
        raise UsageError(msg) from error


def plan_text(report: PlanReport) -> str:
    """Return a plan as text: one reference a line, in the order of writing, and what would be done if it is known."""
    if report.online is None:
        return "\n".join(report.references)
    width = max(map(len, report.references))
    return "\n".join(f"{tag.reference:<{width}}  {_preview(tag)}" for tag in report.online)


def _preview(tag: TagForecast) -> str:
    reason = "" if tag.reason is None else f": {tag.reason}"
    commit = "" if tag.previous_commit is None else f" of commit {tag.previous_commit[:7]}"
    match tag.outcome:
        case TagOutcome.WRITTEN:
            return "would be written"
        case TagOutcome.MOVED:
            return f"would be moved from {tag.previous_digest}{commit}"
        case TagOutcome.KEPT:
            return f"would be kept at {tag.previous_digest}{commit}{reason}"
        case TagOutcome.PRESENT:
            return "is already there"
        case "refused":
            return f"would be refused{reason}"
        case _:
            assert_never(tag.outcome)


def headline(report: BuildReport) -> str:
    """Return what a run did with the image, in one line."""
    return f"{report.image}: {report.origin}"


def print_tags(console: Console, report: BuildReport) -> None:
    """Print each tag of a run, one a line, with its outcome and the reason for it."""
    width = max(len(tag.name) for tag in report.tags)
    for tag in report.tags:
        outcome = (tag.outcome, _STYLES[tag.outcome])
        print_verbatim(console, f"{tag.name:<{width}}  ", outcome, f": {tag.reason}" if tag.reason else "")
