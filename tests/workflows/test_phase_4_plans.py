"""The three test plans of the requirements, step by step, with the backend itself.

GitHub is replaced by act (the runner), a local registry (GHCR) and a local server (the API), `docker pull` by skopeo,
and `docker run` by `lr-ci verify`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.rules.report import BuildReport
from tests.acceptance.command import Command
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.github_api import GitHubApi, running_api
from tests.registry_fixtures import running
from tests.workflows.act import REPOSITORY, Act, Run, repository

OUTPUTS = "Set the outputs"

pytestmark = [pytest.mark.workflows, pytest.mark.engine, pytest.mark.registry, pytest.mark.build]


@dataclass(frozen=True)
class Shipped:
    """The results of a push.

    Attributes:
        workspace: The repository.
        image: The image in the registry.
        build: The run of `build-backend.yml`.
        deploy: The run of the deployment placeholder.
        issue: The issue that it opened.
    """

    workspace: Workspace
    image: Image
    build: Run
    deploy: Run
    issue: dict[str, Any]


@dataclass(frozen=True)
class Project:
    """A repository in place of one on GitHub."""

    workspace: Workspace
    image: Image
    github: GitHubApi
    act: Act

    def push(self, ref: str, deploy: str) -> Shipped:
        """Push a ref and run both workflows, one after the other, as they wait for each other."""
        build = self.act.push(self.workspace, "build-backend", ref).succeeded()
        deployed = self.act.push(self.workspace, deploy, ref).succeeded()
        return Shipped(self.workspace, self.image, build, deployed, self.github.state.issues[-1])


@pytest.fixture(scope="module")
def project(lr_ci: Command, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The repository with its backend, before the first push."""
    folder = tmp_path_factory.mktemp("phase-4")
    runner = folder / "act"
    runner.mkdir()
    workspace = repository(folder / "repository")
    with running(folder / "registry") as registry, running_api(GitHubApi(repository=REPOSITORY)) as github:
        act = Act(runner, registry.host, lr_ci.cache, packages, github.url)
        yield Project(workspace, Image(registry), github, act)


@pytest.fixture(scope="module")
def staging(project: Project) -> Shipped:
    """A small change is merged to master."""
    project.workspace.append("backend/README.md", "\nA small change.\n")
    project.workspace.commit("Merge pull request #7 from links/small-change")
    return project.push("refs/heads/master", "deploy-staging-placeholder")


@pytest.fixture(scope="module")
def production(project: Project, staging: Shipped) -> Shipped:
    """The tag v0.1.1 is pushed, on the commit that staging runs."""
    assert staging.issue
    project.workspace.git("tag", "--annotate", "--message", "The second test", "v0.1.1")
    return project.push("refs/tags/v0.1.1", "deploy-production-placeholder")


def pulled(reference: str, folder: Path) -> str:
    """Pull an image as `docker pull` does, and return its digest."""
    digest_file = folder / "digest"
    command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", "--digestfile", str(digest_file)]
    subprocess.run([*command, f"docker://{reference}", f"oci:{folder / 'image'}:it"], check=True, timeout=120)
    return digest_file.read_text(encoding="utf-8")


def report_of(run: Run) -> BuildReport:
    """The report in a run's outputs."""
    return BuildReport.model_validate_json(run.step(OUTPUTS).outputs["report"], strict=True)


def labels_of(issue: dict[str, Any]) -> set[str]:
    """The names of an issue's labels."""
    return {label["name"] for label in issue["labels"]}


def pull_commands(issue: dict[str, Any]) -> list[str]:
    """The references in the pull commands of an issue."""
    return re.findall(r"^docker pull (\S+)$", issue["body"], re.MULTILINE)


def test_plan_1_staging_build_merge_to_master(staging: Shipped, tmp_path: Path) -> None:
    short, image, issue = staging.workspace.short, staging.image, staging.issue
    assert staging.build.jobs == {"build-and-push": "success"}
    digest = image.digest(f"sha-{short}")
    assert image.digest("master") == digest
    assert staging.build.step(OUTPUTS).outputs["digest"] == digest
    assert report_of(staging.build).built
    assert not report_of(staging.deploy).built, "the second run of a push builds nothing"
    assert staging.deploy.step(OUTPUTS).outputs["digest"] == digest
    assert digest in staging.build.step("Write the summary").summary
    assert issue["title"] == f"Deploy {short} to staging"
    assert f"`{image.name}:sha-{short}`" in issue["body"]
    assert f"`{digest}`" in issue["body"]
    assert labels_of(issue) == {"deployment", "staging"}
    assert pulled(f"{image.name}:sha-{short}", tmp_path) == digest


def test_plan_2_production_build_version_tag(production: Shipped, staging: Shipped, tmp_path: Path) -> None:
    short, image, issue = production.workspace.short, production.image, production.issue
    assert production.build.jobs == {"build-and-push": "success"}
    digests = {image.digest(tag) for tag in (f"sha-{short}", "v0.1.1", "latest")}
    assert digests == {image.digest("master")}, "a release is the bytes that staging ran"
    (digest,) = digests
    assert re.fullmatch(r"Deploy v?0\.1\.1 to production", issue["title"])
    assert labels_of(issue) == {"deployment", "production"}
    outputs = production.deploy.step(OUTPUTS).outputs
    assert outputs["version"].removeprefix("v") == "0.1.1"
    assert not report_of(production.build).built
    assert issue["number"] != staging.issue["number"]
    assert f"`{digest}`" in issue["body"]
    assert f"{image.name}:v0.1.1" in pull_commands(issue)
    assert pulled(f"{image.name}:v0.1.1", tmp_path) == digest


@pytest.mark.usefixtures("port_3000")
def test_plan_3_manual_deploy_with_built_image(staging: Shipped, lr_ci: Command, tmp_path: Path) -> None:
    (deployed,) = re.findall(r"^export BACKEND_IMAGE=(\S+)$", staging.issue["body"], re.MULTILINE)
    digest = deployed.partition("@")[2]
    assert pulled(deployed, tmp_path) == digest
    checks = ("--command", "bin/rails --version", "--path", "/up")
    verified = lr_ci.run(
        staging.workspace.folder, "verify", "--registry", staging.image.registry.host, "--digest", digest, *checks
    ).succeeded()
    assert re.search(r"bin/rails --version: Rails \d+\.\d+", verified.stdout)
    assert re.search(r"/up: 200", verified.stdout)
