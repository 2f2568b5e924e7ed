"""The step outputs of a run, made from its report.

Pure.
"""

from __future__ import annotations

import json
from bisect import bisect_right

from pipeline.rules.report import BuildReport, TagOutcome

LARGEST_REPORT = 48 * 1024
"""The largest size of the output `report` in bytes: it is passed in environment variables, which hold 128 KiB."""

CUT = "… [cut]"
"""Ends a message that was cut."""


def step_outputs(report: BuildReport) -> dict[str, str]:
    """Return the outputs by name.

    Returns:
        `digest`; `image_url`, without tag; `tags`, the full references to the digest, one a line; `version`, empty if
        the ref is not a version; `report`, the report as JSON on one line.
    """
    return {
        "digest": report.digest,
        "image_url": report.image,
        "tags": "\n".join(tag.reference for tag in report.tags if tag.outcome is not TagOutcome.KEPT),
        "version": report.version or "",
        "report": compact_report(report),
    }


def compact_report(report: BuildReport) -> str:
    """Return a report as ASCII JSON on one line, with the commit message cut so that it fits."""
    whole = _json(report, report.commit.message)
    if len(whole) <= LARGEST_REPORT:
        return whole
    message = report.commit.message
    kept = bisect_right(
        range(len(message)), LARGEST_REPORT, key=lambda length: len(_json(report, message[:length] + CUT))
    )
    return _json(report, message[: max(kept - 1, 0)] + CUT)


def _json(report: BuildReport, message: str) -> str:
    data = report.model_dump(mode="json")
    data["commit"]["message"] = message
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True)
