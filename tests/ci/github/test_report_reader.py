from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ci.github.report_reader import STANDARD_INPUT, read_report
from ci.github.step_outputs import compact_report
from pipeline.rules.errors import UsageError
from tests.ci.github.samples import branch_report, version_report
from tests.pipeline.samples import DIGEST, OTHER_SHA


def _written(folder: Path, **changes: Any) -> Path:
    data = json.loads(version_report().model_dump_json())
    for field, value in changes.items():
        place = data
        *outer, last = field.split("__")
        for name in outer:
            place = place[int(name) if name.isdigit() else name]
        place[last] = value
    path = folder / "report.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_report_is_read_from_a_file_and_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_report(_written(tmp_path)) == version_report()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(compact_report(branch_report()).encode())))
    assert read_report(STANDARD_INPUT) == branch_report()


def test_no_report_says_which_command_writes_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot read the report") as raised:
        read_report(tmp_path / "build-report.json")
    assert "lr-ci build-and-push --report build-report.json" in raised.value.hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "the whole file: Input should be an object"),
        (b'{"schema_version": 2}', "schema_version"),
        (b'{"schema_version": 1}', "image: Field required"),
    ],
)
def test_an_invalid_report_is_reported_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a valid build report") as raised:
        read_report(path)
    assert says in raised.value.message
    assert "\n" not in raised.value.message


def test_a_file_larger_than_any_report_is_not_read_to_its_end() -> None:
    with pytest.raises(UsageError, match="too large for a build report"):
        read_report(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", "ghcr.io/linkradar/lr-backend\n```\n@team"),
        ("image", "ghcr.io"),
        ("image", "ghcr.io/other/lr-backend"),
        ("digest", DIGEST + "\ntags=x"),
        ("digest", "sha256:0"),
        ("reference", "evil/image@" + DIGEST),
        ("primary", "ghcr.io/linkradar/lr-backend:other"),
        ("tags", []),
        ("tags__0__name", "a b"),
        ("tags__0__reference", "ghcr.io/linkradar/lr-backend:$(id)"),
        ("commit__sha", "9c68c4a"),
        ("commit__sha", OTHER_SHA),
        ("commit__short_sha", "`id`"),
        ("commit__url", "javascript:alert(1)"),
        ("commit__url", "https://github.com/a) @team ("),
        ("version", "v1.2.3 -->"),
        ("version", "1.2.3"),
        ("ref", "refs/pull/1/merge"),
        ("ref", "refs/heads/a\nb"),
        ("platform", "linux/amd64`"),
    ],
)
def test_an_invalid_name_is_refused(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(UsageError, match="is not a valid build report") as raised:
        read_report(_written(tmp_path, **{field: value}))
    assert "\n" not in raised.value.message
