"""What a command answers with: the answer itself on standard output, a table of what was done beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console

from ci.cli.console import print_verbatim
from pipeline.rules.errors import UsageError
from pipeline.rules.report import BuildReport, PlanReport, TagOutcome

_STYLES = {
    TagOutcome.WRITTEN: "green",
    TagOutcome.MOVED: "cyan",
    TagOutcome.PRESENT: "dim",
    TagOutcome.KEPT: "yellow",
}


def print_answer(text: str) -> None:
    """Write the answer to standard output as UTF-8, with a newline behind it.

    Raises:
        UsageError: It cannot be written there.
    """
    try:
        sys.stdout.buffer.write(f"{text}\n".encode(errors="surrogateescape"))
        sys.stdout.buffer.flush()
    except OSError as error:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or Python would try again when it ends
        msg = f"The answer could not be written to standard output: {error.strerror}."
        raise UsageError(msg) from error


def plan_text(report: PlanReport) -> str:
    """Write a plan for a person: one reference a line, in the order of writing."""
    return "\n".join(report.references)


def headline(report: BuildReport) -> str:
    """Say in one line what a run did with the image."""
    return f"{report.image}: {'built and uploaded' if report.built else 'in the registry before, not built again'}"


def print_tags(console: Console, report: BuildReport) -> None:
    """Print each tag of a run, one a line, with its outcome and the reason for it."""
    width = max(len(tag.name) for tag in report.tags)
    for tag in report.tags:
        outcome = (tag.outcome, _STYLES[tag.outcome])
        print_verbatim(console, f"{tag.name:<{width}}  ", outcome, f": {tag.reason}" if tag.reason else "")
