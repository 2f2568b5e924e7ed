"""Runs of the job in `ci.yml` that builds the image without publishing it; the other job runs these tests."""

from __future__ import annotations

from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.workflows.act import Act, Run

CHECK = "Run the module's checks"
PULL_REQUEST = {"number": 1, "pull_request": {"head": {"ref": "fix"}, "base": {"ref": "master"}}}


def on_pull_request(act: Act, workspace: Workspace) -> Run:
    workspace.git("checkout", "--quiet", "--detach")
    return act.run(workspace, "ci", "pull_request", PULL_REQUEST, job="image")


def test_a_pull_request_builds_the_image_and_publishes_nothing(act: Act, small: Workspace, image: Image) -> None:
    run = on_pull_request(act, small).succeeded()
    assert "image-builds OK" in run.step(CHECK).output
    assert image.registry.requests() == []


def test_a_pull_request_whose_image_does_not_build_fails(act: Act, broken: Workspace) -> None:
    run = on_pull_request(act, broken)
    assert run.jobs == {"image": "failure"}
    assert "There is no such gem" in run.step(CHECK).output
