from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ci.github.deployment_issue import OUTSIDE
from pipeline.rules.report import TagOutcome
from tests.ci.github.gfm import HOSTILE, any_text, flattened, page, seen
from tests.ci.github.samples import (
    PRODUCTION,
    STAGING,
    branch_report,
    deployment,
    outside_context,
    run_context,
    version_report,
)
from tests.pipeline.samples import DIGEST, IMAGE, SHA

UNTICKED = "- [ ] "


def test_the_issue_of_a_branch_says_what_it_must() -> None:
    issue = deployment()
    shown = page(issue.body())
    assert issue.title == "Deploy 9c68c4a to staging"
    assert [label.name for label in issue.labels] == ["deployment", "staging"]
    assert shown.table == {
        "Field": "Value",
        "Commit SHA": "9c68c4a (full commit)",
        "Docker Image": IMAGE.tagged("sha-9c68c4a"),
        "Image Digest": DIGEST,
        "Commit Message": "Save links",
        "Tags": "sha-9c68c4a",
        "Ref": "refs/heads/master",
        "Actor": "octocat (push of a branch)",
        "Run": "Run 7",
    }
    assert shown.targets == [
        f"https://github.com/linkradar/linkradar/commit/{SHA}",
        "https://github.com/linkradar/linkradar/actions/runs/7",
    ]
    pull, deploy = shown.blocks
    assert f"docker pull {IMAGE.tagged('sha-9c68c4a')}\n" in pull
    assert f"docker pull {IMAGE.at(DIGEST)}\n" in pull
    assert deploy == f"export BACKEND_IMAGE={IMAGE.at(DIGEST)}\nbin/deploy staging\n"


def test_the_issue_of_a_release_names_its_version() -> None:
    issue = deployment(PRODUCTION, version_report())
    shown = page(issue.body())
    assert issue.title == "Deploy v1.2.3 to production"
    assert [label.name for label in issue.labels] == ["deployment", "production"]
    assert shown.table["Version"] == "v1.2.3"
    assert shown.table["Tags"] == "sha-9c68c4a, v1.2.3"
    assert shown.table["Left in place"] == "latest: v2.0.0 is a higher release than v1.2.3"
    assert f"docker pull {IMAGE.tagged('v1.2.3')}\n" in shown.blocks[0]
    assert shown.blocks[1].endswith("bin/deploy production\n")
    assert "prerelease" not in shown.text


def test_a_prerelease_is_marked_in_production() -> None:
    report = version_report("v1.2.3-rc.1")
    issue = deployment(PRODUCTION, report)
    assert issue.title == "Deploy v1.2.3-rc.1 (prerelease) to production"
    assert "> [!NOTE]\n> `v1.2.3-rc.1` is a prerelease" in issue.body()
    assert page(issue.body()).table["Version"] == "v1.2.3-rc.1 (prerelease)"
    assert deployment(STAGING, report).title == "Deploy v1.2.3-rc.1 to staging"


def test_what_only_actions_knows_has_a_placeholder() -> None:
    shown = page(deployment(context=outside_context()).body())
    assert shown.table["Actor"] == shown.table["Run"] == OUTSIDE


def test_a_commit_elsewhere_shows_its_full_name() -> None:
    report = branch_report()
    report = report.model_copy(update={"commit": report.commit.model_copy(update={"url": None})})
    assert page(deployment(report=report).body()).table["Commit SHA"] == f"9c68c4a ({SHA})"


def test_a_message_that_git_does_not_hold_is_taken_from_the_event() -> None:
    context = run_context()
    assert "unknown" in deployment(report=branch_report(message="")).body()
    event = context.event.model_validate({"head_commit": {"id": SHA, "message": "From the event"}})
    known = replace(context, event=event)
    assert page(deployment(report=branch_report(message=""), context=known).body()).table["Commit Message"] == (
        "From the event"
    )


@given(message=any_text, branch=any_text, actor=any_text)
@example(message=HOSTILE[0], branch="a`b|c<!--", actor="@team")
def test_no_text_from_outside_changes_the_issue(message: str, branch: str, actor: str) -> None:
    report = branch_report(f"refs/heads/{branch}", f"x{message}")
    body = deployment(report=report, context=run_context(f"x{actor}")).body()
    shown, plain = page(body), page(deployment().body())
    assert shown.tags == plain.tags
    assert shown.targets == plain.targets
    assert shown.blocks == plain.blocks
    assert list(shown.table) == list(plain.table)
    subject = flattened(f"x{message}".strip().partition("\n")[0])
    assert seen(shown.table["Commit Message"])[:150].strip() == subject[:150].strip() or len(subject) > 150
    assert body.count("<!--") == 2
    assert body.count(UNTICKED) == deployment().body().count(UNTICKED)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_reason_stays_in_its_cell(hostile: str) -> None:
    report = version_report()
    kept = report.tags[2].model_copy(update={"reason": hostile})
    assert kept.outcome is TagOutcome.KEPT
    shown = page(deployment(PRODUCTION, report.model_copy(update={"tags": (*report.tags[:2], kept)})).body())
    assert shown.tags == page(deployment(PRODUCTION, version_report()).body()).tags


def test_an_issue_is_below_githubs_limits_whatever_goes_in() -> None:
    report = branch_report("refs/heads/" + "|" * 4000, "`" * 65_536)
    issue = deployment(report=report, context=run_context("@" * 65_536))
    assert len(issue.title) <= 256
    assert len(issue.body()) < 16_384


def test_ticks_stay_when_the_issue_is_written_again() -> None:
    first = deployment().body()
    lines = first.split("\n")
    place = lines.index(next(line for line in lines if line.startswith(UNTICKED)))
    lines[place] = lines[place].replace("[ ]", "[X]")
    again = deployment(context=run_context(run_id=8)).body("\r\n".join(lines))
    assert again.count("- [x] ") == 1
    assert again.replace("- [x] ", UNTICKED) == first.replace("Run 7", "Run 8").replace("runs/7", "runs/8")
    assert "- [x]" not in deployment().body("\n".join(lines), keep_ticks=False)


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")),
)
def test_what_a_person_wrote_around_our_part_stays(before: str, after: str) -> None:
    assert deployment().body(before + deployment().body() + after) == before + deployment().body() + after


def test_another_environment_or_digest_has_another_marker() -> None:
    markers = {deployment(STAGING).marker, deployment(PRODUCTION).marker}
    assert len(markers) == 2
    assert all(DIGEST in marker for marker in markers)
    assert deployment(STAGING).marker in deployment(STAGING).body()


def test_the_same_bytes_under_another_version_are_told_apart() -> None:
    candidate = deployment(PRODUCTION, version_report("v1.2.3-rc.1")).body()
    release = deployment(PRODUCTION, version_report("v1.2.3"))
    assert release.is_for_another_version(candidate)
    assert not release.is_for_another_version(release.body())
    assert not release.is_for_another_version("no marker")
