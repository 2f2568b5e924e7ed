"""The workflows of `examples/` call `build-image.yml` as it is, and publish what it builds for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.acceptance.command import ROOT
from tests.acceptance.private_index import PASSWORD, PrivateIndex, index
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry
from tests.workflows.act import TOOL, TOOL_REF, WORKFLOWS, Act

__all__ = ["index"]

FILES = sorted((ROOT / "examples").glob("*/.github/workflows/*.yml"))
MAIN = "refs/heads/main"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parents[2].name)
def test_an_example_passes_what_the_called_workflow_takes(file: Path) -> None:
    yaml = YAML(typ="safe", pure=True)
    ((_, job),) = yaml.load(file)["jobs"].items()
    called = yaml.load(WORKFLOWS / "build-image.yml")
    assert job["uses"] == f"{TOOL}/.github/workflows/build-image.yml@{TOOL_REF}"
    assert job["permissions"] == called["jobs"]["build-and-push"]["permissions"]
    assert job.get("with", {}).keys() <= called["on"]["workflow_call"]["inputs"].keys()
    assert job.get("secrets", {}).keys() <= called["on"]["workflow_call"]["secrets"].keys()


def test_every_example_has_a_workflow() -> None:
    assert {file.parents[2].name for file in FILES} == {each.name for each in (ROOT / "examples").iterdir()}


def test_a_secret_of_the_repository_reaches_the_build(
    foreign: Act, index: PrivateIndex, registry: RunningRegistry, tmp_path: Path
) -> None:
    workspace = Workspace.with_example(tmp_path / "caller", "python-service")

    run = replace(foreign, secrets={"ACME_INDEX_URL": index.url}).push(workspace, "image", MAIN).succeeded()

    assert Image(registry, "linkradar/greeter").tags() == {f"sha-{workspace.short}", "main"}
    assert PASSWORD not in run.shown


def test_a_matrix_publishes_each_image_of_a_monorepo(foreign: Act, registry: RunningRegistry, tmp_path: Path) -> None:
    workspace = Workspace.with_example(tmp_path / "caller", "monorepo")

    run = foreign.push(workspace, "images", MAIN).succeeded()

    for name in ("api", "web"):
        assert Image(registry, f"linkradar/{name}").tags() == {f"sha-{workspace.short}", "main"}
        assert (run.artifacts / f"build-report-{name}" / "build-report.json").is_file()
