"""Runs of the deployment placeholders: the issues that they open, and when they open none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.github_api import GitHubApi, running_api
from tests.github_faults import Fault
from tests.workflows.act import REPOSITORY, Act, repository

STAGING, PRODUCTION = "deploy-staging-placeholder", "deploy-production-placeholder"
POST = "Open or update the issue"
TRAP = "INJECTED"
NASTY = """`touch INJECTED` $(touch INJECTED) ${{ github.token }} | <!-- --> </details> @team #123 ![x](http://x.example/y)

report<<EOF
{"digest": "sha256:0"}
EOF
::set-output name=digest::sha256:0
::add-mask::sha
'; touch INJECTED; '"; touch INJECTED; ";\ttouch INJECTED & %0A::error::x
--environment production
\x1b[31mred\x1b[0m 🚀 $GITHUB_TOKEN
"""


def labels_of(issue: dict[str, object]) -> set[str]:
    """The labels of an issue."""
    labels = issue["labels"]
    assert isinstance(labels, list)
    return {label["name"] if isinstance(label, dict) else str(label) for label in labels}


def test_a_push_to_master_opens_one_issue_for_staging_and_a_re_run_no_other(
    act_with_github: Act, small: Workspace, github: GitHubApi, image: Image
) -> None:
    run = act_with_github.push(small, STAGING).succeeded()
    assert run.jobs == {"build-and-push": "success", "open-issue": "success"}
    (issue,) = github.state.issues
    assert issue["title"] == f"Deploy {small.short} to staging"
    assert labels_of(issue) == {"deployment", "staging"}
    assert {label["name"] for label in github.state.labels} >= {"deployment", "staging"}
    body = issue["body"]
    assert image.digest("master") in body
    assert f"docker pull {image.name}:sha-{small.short}" in body
    assert f"BACKEND_IMAGE={image.name}@{image.digest('master')}" in body
    assert act_with_github.actor in body
    assert act_with_github.token not in run.text + body
    act_with_github.push(small, STAGING).succeeded()
    assert len(github.state.issues) == 1


def test_a_prerelease_goes_to_production_marked_as_one(
    act_with_github: Act, small: Workspace, github: GitHubApi, image: Image
) -> None:
    small.git("tag", "v1.2.3-rc.1")
    act_with_github.push(small, PRODUCTION, "refs/tags/v1.2.3-rc.1").succeeded()
    (issue,) = github.state.issues
    assert "(prerelease)" in issue["title"]
    assert "prerelease" in issue["body"]
    assert image.tags() == {f"sha-{small.short}", "v1.2.3-rc.1"}


def test_a_failed_build_opens_no_issue(act_with_github: Act, broken: Workspace, github: GitHubApi) -> None:
    run = act_with_github.push(broken, STAGING)
    assert run.exit_code != 0
    assert run.jobs["build-and-push"] == "failure"
    assert run.step(POST).result == ""
    assert github.state.requests == []


def test_while_github_is_down_the_image_stays_and_a_re_run_opens_the_issue_once(
    act: Act, act_with_github: Act, small: Workspace, github: GitHubApi, image: Image
) -> None:
    with running_api(GitHubApi(repository=REPOSITORY)) as down:
        for method in ("GET", "POST"):
            down.fail(Fault.BAD_GATEWAY, method, "", times=-1)
        failed = replace(act, api=down.url).push(small, STAGING)
        assert down.state.issues == []
    assert failed.jobs == {"build-and-push": "success", "open-issue": "failure"}
    assert failed.step(POST).exit_code == 5
    assert re.search(r"again|re-run", failed.step(POST).output)
    digest = image.digest("master")

    act_with_github.push(small, STAGING).succeeded()
    (issue,) = github.state.issues
    assert digest in issue["body"]
    assert image.digest("master") == digest


def test_a_commit_message_runs_nothing_and_ends_nothing_on_its_way(
    act_with_github: Act, github: GitHubApi, base: str, tmp_path: Path
) -> None:
    message = NASTY + "é\\\"'\n" * 11_000  # 64 KiB and more
    workspace = repository(tmp_path / "nasty", message, dockerfile=f"FROM {base}\nRUN touch /built\n")
    run = act_with_github.push(workspace, STAGING).succeeded()
    (issue,) = github.state.issues
    digest = run.step("Set the outputs").outputs["digest"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    assert digest in issue["body"]
    assert issue["title"] == f"Deploy {workspace.short} to staging"
    assert labels_of(issue) == {"deployment", "staging"}
    (row,) = [line for line in issue["body"].splitlines() if "**Commit Message**" in line]
    assert not re.search(r"@team|#123|!\[x\]|</details>|<!--", row)
    assert list(tmp_path.rglob(TRAP)) == []
    assert act_with_github.token not in run.text + json.dumps(github.state.issues)
