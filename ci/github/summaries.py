"""The summary of a job: of a run by its report, of a failed one by its log."""

from __future__ import annotations

from ci.github.failed_log import FailedLog
from ci.github.markdown import render
from pipeline.rules.job_summary import render_summary
from pipeline.rules.report import BuildReport


def run_summary(report: BuildReport) -> str:
    """Say in Markdown what a run did."""
    return render_summary(report)


def failure_summary(log: FailedLog) -> str:
    """Say in Markdown what failed, with the last lines of the log."""
    return render("failure.md.j2", {"message": log.message, "tail": log.tail, "cut": log.cut})
