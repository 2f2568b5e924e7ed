from __future__ import annotations

from pathlib import Path

import pytest

from ci.cli.report_file import forget_report, write_report
from pipeline.rules.errors import UsageError
from pipeline.rules.report import BuildReport
from tests.ci.cli.command import lr_ci
from tests.pipeline.samples import build_report


def test_a_report_is_written_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "build-report.json"
    for _ in range(2):
        write_report(path, build_report())
    assert BuildReport.model_validate_json(path.read_bytes()) == build_report()
    assert [file.name for file in tmp_path.iterdir()] == ["build-report.json"]


def test_the_report_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "build-report.json"
    path.write_text("old", encoding="utf-8")
    forget_report(path)
    forget_report(path)
    assert not path.exists()


def test_a_failed_run_leaves_no_report_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "build-report.json"
    path.write_text("old", encoding="utf-8")
    done = lr_ci(tmp_path, "build-and-push", "--report", str(path))
    assert done.exit_code != 0
    assert not path.exists()


def test_no_report_is_asked_for(tmp_path: Path) -> None:
    forget_report(None)
    write_report(None, build_report())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_known_before_anything_is_built(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "report.json"):
        with pytest.raises(UsageError, match="The report could not be written to"):
            forget_report(path)
    with pytest.raises(UsageError, match="The report could not be written to"):
        write_report(tmp_path, build_report())
    assert list(tmp_path.iterdir()) == []
