"""The step outputs of a run, each from its report alone.

Pure.
"""

from __future__ import annotations

import json
from bisect import bisect_right

from pipeline.rules.report import BuildReport, TagOutcome

LARGEST_REPORT = 48 * 1024
"""How many bytes the output `report` has at most: it travels through environment variables, which end at 128 KiB."""

CUT = "… [cut]"
"""What stands behind a message that was cut."""


def step_outputs(report: BuildReport) -> dict[str, str]:
    """Return the outputs by name.

    Returns:
        `digest`; `image_url`, without a tag; `tags`, the whole references that name the digest, one a line; `version`,
        empty where the ref is none; `report`, the report as JSON on one line.
    """
    return {
        "digest": report.digest,
        "image_url": report.image,
        "tags": "\n".join(tag.reference for tag in report.tags if tag.outcome is not TagOutcome.KEPT),
        "version": report.version or "",
        "report": compact_report(report),
    }


def compact_report(report: BuildReport) -> str:
    """Write a report as JSON in ASCII on one line, and cut the commit's message until that fits."""
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
