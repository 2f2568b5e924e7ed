from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from pipeline.rules.planning import plan_run
from pipeline.rules.report import BuildReport, PlanReport
from pipeline.rules.shared_options import RunRequest
from tests.pipeline.samples import build_report, checkout

DOCS = Path(__file__).parents[3] / "docs"
REWRITE = "REWRITE_EXPECTED"
"""Set this variable to write what the code says now into the files that tests compare it with."""


@pytest.mark.parametrize(
    ("model", "file"),
    [(BuildReport, "build-report.schema.json"), (PlanReport, "plan-report.schema.json")],
)
def test_the_schema_that_is_checked_in_is_the_models_own(model: type[BaseModel], file: str) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(mode="serialization")
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get(REWRITE):
        (DOCS / file).write_text(text, encoding="utf-8")
    assert (DOCS / file).read_text(encoding="utf-8") == text, f"{REWRITE}=1 pytest {Path(__file__).name} writes it anew"


def test_a_build_report_survives_json() -> None:
    report = build_report()
    assert BuildReport.model_validate_json(report.model_dump_json()) == report


def test_a_plan_report_survives_json() -> None:
    report = plan_run(RunRequest(), checkout(dirty=("é", "\x1b"))).report()
    assert PlanReport.model_validate_json(report.model_dump_json()) == report


def test_the_json_of_a_report_holds_what_machines_read() -> None:
    document = json.loads(build_report().model_dump_json())
    assert document["schema_version"] == 1
    assert document["digest"] == "sha256:" + "ab" * 32
    assert document["commit"]["time"] == "2025-11-03T14:30:05Z"
    assert [tag["outcome"] for tag in document["tags"]] == ["present", "written", "kept"]
    assert [tag["kind"] for tag in document["tags"]] == ["sha", "version", "latest"]


def test_a_report_does_not_change_once_it_is_made() -> None:
    with pytest.raises(ValidationError):
        build_report().digest = "sha256:"  # type: ignore[misc] # that it is frozen is the point
