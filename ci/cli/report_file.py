"""The file that a run writes its report to, for later steps of a job."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from pipeline.rules.errors import UsageError
from pipeline.rules.report import BuildReport

_OUTSIDE_FILE_NAMES = re.compile(r"[^\w.-]+")


def forget_report(path: Path | None) -> None:
    """Remove the report of an earlier run, so that it is never mistaken for this run's.

    Raises:
        UsageError: It cannot be removed, or its directory does not exist; found out before anything is built.
    """
    if path is None:
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_written(path, error) from error
    if not path.absolute().parent.is_dir():
        raise _not_written(path, FileNotFoundError(0, "no such directory"))


def write_report(path: Path | None, report: BuildReport) -> None:
    """Write the report of a run atomically.

    Raises:
        UsageError: The file cannot be written.
    """
    if path is None:
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> UsageError:
    msg = f"The report could not be written to {path}: {error.strerror}."
    return UsageError(msg, hint="Check --report.")


def report_path(path: Path | None, image: str | None) -> Path | None:
    """Return where the report of an image is written: `build-report.api.json` for `build-report.json` and `api`."""
    if path is None or image is None:
        return path
    return path.with_name(f"{path.stem}.{_OUTSIDE_FILE_NAMES.sub('-', image)}{path.suffix}")
