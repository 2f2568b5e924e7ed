"""Reads the report of a run as untrusted input.

A report is passed between jobs as a file or as text. Its names are rendered into shell commands for people to copy, so
every name is validated first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import ValidationError

from ci.github.markdown import WEB_URL
from pipeline.rules.errors import PipelineError, UsageError
from pipeline.rules.image_name import DIGEST, TAG, image_name
from pipeline.rules.platforms import find_platform
from pipeline.rules.refs import parse_commit, parse_ref, parse_version, short_sha
from pipeline.rules.report import BuildReport
from pipeline.rules.text import quoted

DEFAULT_REPORT = Path("build-report.json")
STANDARD_INPUT = Path("-")
_LARGEST = 8 * 1024 * 1024


def read_report(path: Path) -> BuildReport:
    """Read a report from a file, or from standard input if the path is `-`.

    Raises:
        UsageError: It cannot be read, or is not a valid report.
    """
    where = "standard input" if path == STANDARD_INPUT else str(path)
    text = _read(path, where)
    try:
        report = BuildReport.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        msg = f"{where} is not a valid build report: {field}: {first['msg']}."
        raise UsageError(msg, hint="Give the file that `lr-ci build-and-push --report FILE` wrote.") from None
    _check(report, where)
    return report


def _check(report: BuildReport, where: str) -> None:
    """Check that every name in a report is valid, and that they are consistent.

    Args:
        report: The report.
        where: The report's source, for the message.

    Raises:
        UsageError: Some name is invalid, or inconsistent with the others.
    """
    registry, _, repository = report.image.partition("/")
    owner, _, name = repository.partition("/")
    try:
        image = image_name(registry, owner, name)
        commit = parse_commit(report.commit.sha)
        parse_ref(report.ref)
    except PipelineError as error:
        msg = f"{where} is not a valid build report: {error.message}"
        raise UsageError(msg) from error
    expectations = {
        "image": str(image) == report.image,
        "digest": DIGEST.fullmatch(report.digest) is not None,
        "reference": report.reference == image.at(report.digest),
        "tags": bool(report.tags) and all(TAG.fullmatch(tag.name) is not None for tag in report.tags),
        "tags' references": all(tag.reference == image.tagged(tag.name) for tag in report.tags),
        "primary": report.primary in {tag.reference for tag in report.tags},
        "commit": commit == report.commit.sha and report.commit.short_sha == short_sha(commit),
        "commit.url": report.commit.url is None or WEB_URL.fullmatch(report.commit.url) is not None,
        "version": report.version is None or parse_version(report.version) is not None,
        "platform": all(find_platform(each) is not None for each in report.platform.split(",")),
    }
    wrong = [field for field, holds in expectations.items() if not holds]
    if wrong:
        msg = f"{where} is not a valid build report: invalid {', '.join(wrong)}."
        raise UsageError(msg, hint="Give the file as `lr-ci build-and-push --report FILE` wrote it.")


def _read(path: Path, where: str) -> bytes:
    try:
        if path == STANDARD_INPUT:
            text = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with path.open("rb") as file:
                text = file.read(_LARGEST + 1)
    except OSError as error:
        msg = f"Cannot read the report {quoted(where)}: {error.strerror}."
        hint = "Write one with `lr-ci build-and-push --report build-report.json`, and pass its path with --report."
        raise UsageError(msg, hint=hint) from error
    if len(text) > _LARGEST:
        msg = f"{where} is too large for a build report."
        raise UsageError(msg)
    return text
