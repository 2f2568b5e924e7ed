"""Runs of `build-backend.yml`: what they publish, output and report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.rules.report import BuildReport
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry
from tests.workflows.act import Act, Run

BUILD, OUTPUTS, SUMMARY = "Build and publish", "Set the outputs", "Write the summary"
FAILED = "Summarize the failure"


def report_of(run: Run) -> BuildReport:
    """The report in a run's outputs."""
    return BuildReport.model_validate_json(run.step(OUTPUTS).outputs["report"], strict=True)


def test_a_push_to_master_publishes_its_commit_and_hands_on_the_report(
    act: Act, small: Workspace, image: Image
) -> None:
    run = act.push(small, "build-backend").succeeded()
    assert image.tags() == {f"sha-{small.short}", "master"}
    assert image.labels("master")["org.opencontainers.image.revision"] == small.head
    outputs = run.step(OUTPUTS).outputs
    report = report_of(run)
    assert outputs["digest"] == image.digest("master") == report.digest
    assert outputs["image_url"] == image.name
    assert outputs["tags"].split("\n") == [f"{image.name}:sha-{small.short}", f"{image.name}:master"]
    assert outputs["version"] == ""
    assert (report.ref, report.commit.sha, report.built) == ("refs/heads/master", small.head, True)
    summary = run.step(SUMMARY).summary
    assert outputs["digest"] in summary
    assert f"docker pull {image.name}:sha-{small.short}" in summary
    kept = (run.artifacts / "build-report" / "build-report.json").read_text(encoding="utf-8")
    assert BuildReport.model_validate_json(kept) == report
    assert act.token not in run.text


def test_a_branch_started_by_hand_gets_its_own_tag_whatever_it_is_called(
    act: Act, small: Workspace, image: Image, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    branch = f"fix/$(touch${{IFS}}{trap})`touch${{IFS}}{trap}`;touch${{IFS}}{trap};'\"&|"
    small.git("switch", "--quiet", "--create", branch)
    run = act.run(small, "build-backend", "workflow_dispatch", {"ref": f"refs/heads/{branch}"}).succeeded()
    assert report_of(run).ref == f"refs/heads/{branch}"
    assert not trap.exists()
    assert f"sha-{small.short}" in image.tags()
    assert len(image.tags()) == 2


def test_the_registry_is_given_the_actor_and_the_token_of_the_job(
    act: Act, small: Workspace, registry_with_auth: RunningRegistry
) -> None:
    run = replace(act, registry=registry_with_auth.host, actor=USER, token=PASSWORD).push(small, "build-backend")
    assert Image(registry_with_auth).tags() == {f"sha-{small.short}", "master"}, run.shown
    assert PASSWORD not in run.text


def test_a_failed_build_says_what_failed_and_publishes_nothing(act: Act, broken: Workspace, image: Image) -> None:
    run = act.push(broken, "build-backend")
    assert run.jobs == {"build-and-push": "failure"}
    build = run.step(BUILD)
    assert (build.result, build.exit_code) == ("failure", 3)
    assert "There is no such gem" in build.output
    assert "engine: one of its own" in build.output
    summary = run.step(FAILED).summary
    assert "Image not published" in summary
    assert "There is no such gem" in summary
    assert "5" in summary.partition("What failed:")[2].partition("\n")[0]
    assert run.step(OUTPUTS).result == ""
    assert run.step(SUMMARY).summary == ""
    assert not run.artifacts.exists()
    assert image.tags() == set()


def test_a_refused_registry_says_what_to_do(act: Act, small: Workspace, registry_with_auth: RunningRegistry) -> None:
    run = replace(act, registry=registry_with_auth.host, actor=USER, token="ghs_expired").push(small, "build-backend")
    assert run.step(BUILD).result == "failure"
    assert "refuses these credentials" in run.step(FAILED).summary
    assert Image(registry_with_auth).tags() == set()


def test_a_failure_before_the_build_is_reported_too(act: Act, small: Workspace) -> None:
    small.write("dagger.json", '{"name": "backend-pipeline", "engineVersion": "v0.0.0"}')
    small.commit("Want a Dagger that nobody installs")
    run = act.push(small, "build-backend")
    assert run.step(BUILD).result == ""
    assert "before the build started" in run.step(FAILED).summary


def test_an_engine_that_lives_on_is_used_where_the_repository_names_one(act: Act, broken: Workspace) -> None:
    host = "tcp://dagger.internal:1234"
    run = replace(act, variables={"DAGGER_RUNNER_HOST": host}).push(broken, "build-backend")
    assert f"engine: {host}" in run.step(BUILD).output
