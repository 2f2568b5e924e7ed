from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.rules.checkout import Checkout, Commit
from pipeline.rules.errors import DirtyTreeError, ImageNameError, RefError, SourceMismatchError
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.shared_options import RunRequest
from pipeline.rules.tagging import LatestPolicy
from tests.pipeline.samples import OTHER_SHA, SHA, TIME, checkout

ORIGINS = [
    "https://github.com/Acme/Links",
    "https://github.com/Acme/Links.git",
    "https://user:hunter2@github.com/Acme/Links.git",
    "https://hunter2@github.com/Acme/Links",
    "git@github.com:Acme/Links",
    "git@github.com:Acme/Links.git",
    "ssh://git@github.com/Acme/Links",
    "ssh://git@github.com/Acme/Links.git",
]


def _plan(request: RunRequest, known: Checkout | None) -> RunPlan:
    return plan_run(request, known)


@pytest.mark.parametrize("origin", ORIGINS)
def test_owner_and_name_are_the_origins_where_that_is_on_github(origin: str) -> None:
    plan = _plan(RunRequest(), checkout(origin=origin))
    assert str(plan.image) == "ghcr.io/acme/links"
    assert plan.commit_report().url == f"https://github.com/Acme/Links/commit/{SHA}"
    assert plan.notices == ()
    plan.check_publishable()


def test_the_owner_that_the_caller_gives_comes_first() -> None:
    plan = _plan(RunRequest(owner="Someone", name="app", registry="localhost:5001"), checkout(origin=ORIGINS[0]))
    assert str(plan.image) == "localhost:5001/someone/app"


@pytest.mark.parametrize("origin", ["https://gitlab.com/acme/Links", "/srv/links.git", "host:links", "ssh://h/links/"])
def test_without_an_owner_it_is_published_locally_alone(origin: str) -> None:
    plan = _plan(RunRequest(), checkout(origin=origin))
    assert str(plan.image) == "ghcr.io/links"
    assert plan.commit_report().url is None
    with pytest.raises(ImageNameError, match=r"owner of links on ghcr\.io") as caught:
        plan.check_publishable()
    assert "--owner" in caught.value.hint
    local = _plan(RunRequest(registry="localhost:5001"), checkout(origin=origin))
    assert str(local.image) == "localhost:5001/links"
    local.check_publishable()


@pytest.mark.parametrize(
    ("origin", "reason"),
    [(None, "has no remote `origin`"), ("https://github.com/acme/.github", "'.github' is not a valid one")],
)
def test_without_a_name_it_is_not_published_anywhere(origin: str | None, reason: str) -> None:
    plan = _plan(RunRequest(owner="acme", registry="localhost:5001"), checkout(origin=origin))
    assert [refusal.partition(": ")[0] for refusal in plan.report().refusals] == ["The name of the image is not known"]
    with pytest.raises(ImageNameError, match=reason) as caught:
        plan.check_publishable()
    assert "--name" in caught.value.hint
    _plan(RunRequest(owner="acme", name="links"), checkout(origin=origin)).check_publishable()


def test_without_a_checkout_the_request_says_it_all() -> None:
    plan = _plan(RunRequest(ref="refs/tags/v1.2.3", sha=SHA, owner="acme"), None)
    assert [tag.name for tag in plan.tags.tags] == ["sha-9c68c4a", "v1.2.3", "latest"]
    assert plan.commit.time is None
    with pytest.raises(RefError):
        _plan(RunRequest(ref="refs/tags/v1.2.3"), None)
    with pytest.raises(RefError):
        _plan(RunRequest(sha=SHA), None)


def test_a_commit_that_is_not_checked_out_is_noticed() -> None:
    plan = _plan(RunRequest(sha=OTHER_SHA), checkout())
    assert plan.commit.sha == OTHER_SHA
    assert plan.commit.message == ""
    assert plan.tags.primary.name == "sha-0123456"
    (notice,) = plan.notices
    assert "0123456" in notice
    assert "9c68c4a" in notice


def test_the_checked_out_commit_given_by_name_needs_no_notice() -> None:
    assert _plan(RunRequest(sha=SHA.upper()), checkout()).notices == ()


def test_a_dirty_tree_is_refused_with_the_paths_that_differ() -> None:
    plan = _plan(RunRequest(), checkout(dirty=("backend/a.rb", "backend/b.rb")))
    assert plan.dirty == ("backend/a.rb", "backend/b.rb")
    with pytest.raises(DirtyTreeError, match=r"differs from commit 9c68c4a: backend/a\.rb, backend/b\.rb\.") as caught:
        plan.check_publishable()
    assert "--allow-dirty" in caught.value.hint


def test_a_dirty_tree_that_is_allowed_gets_its_own_tag_alone() -> None:
    plan = _plan(RunRequest(ref="refs/tags/v1.2.3", allow_dirty=True), checkout(dirty=("a",)))
    plan.check_publishable()
    dirty = plan.for_dirty_tree("content")
    (tag,) = dirty.tags.tags
    assert tag.name.startswith("sha-9c68c4a-dirty-")
    assert dirty.tags.version is None
    assert dirty.image == plan.image


def test_the_plan_is_reported_in_the_order_of_writing() -> None:
    request = RunRequest(ref="refs/tags/v1.2.3+b", latest=LatestPolicy.ALWAYS)
    report = _plan(request, checkout(dirty=("a",))).report()
    assert report.tags == ("sha-9c68c4a", "v1.2.3_b", "latest")
    assert report.primary == "sha-9c68c4a"
    assert report.references == tuple(f"ghcr.io/linkradar/linkradar:{tag}" for tag in report.tags)
    assert report.image == "ghcr.io/linkradar/linkradar"
    assert (report.ref, report.version, report.latest) == ("refs/tags/v1.2.3+b", "v1.2.3+b", "always")
    assert report.commit.time == TIME
    assert report.dirty == ("a",)


@pytest.mark.parametrize(
    "origin",
    [
        "https://user:hunter2@github.com/Acme/Links.git",
        "https://hunter2@github.com/Acme/Links.git",
        "https://user:hunter2@gitlab.com/acme/links.git",
        "https://user:p@hunter2@gitlab.com/acme/links.git",
        "https://user:hunter2/x@gitlab.com/acme/links.git",
        "https://gitlab.com/acme/links.git?private_token=hunter2",
        "https://gitlab.com/acme/links.git#hunter2",
        "ssh://user:hunter2@gitlab.com/acme/links.git",
        "user:hunter2@gitlab.com:acme/links.git",
    ],
)
def test_a_password_in_the_origin_never_appears_anywhere(origin: str) -> None:
    known = checkout(origin=origin, dirty=("a",))
    plan = _plan(RunRequest(sha=OTHER_SHA, registry="localhost:5001"), known)
    labels = plan.labels({})
    with pytest.raises(DirtyTreeError) as caught:
        plan.check_publishable()
    shown = [repr(known), repr(plan), str(plan), plan.report().model_dump_json(), str(labels), str(caught.value)]
    assert not [text for text in [*shown, *plan.notices] if "hunter2" in text]


def test_a_tag_that_git_has_at_another_commit_is_refused() -> None:
    elsewhere = Checkout(head=Commit(sha=SHA), tagged=OTHER_SHA)
    request = RunRequest(ref="refs/tags/v3.0.0")
    with pytest.raises(
        SourceMismatchError, match=r"refs/tags/v3\.0\.0 points to commit 0123456, not to 9c68c4a"
    ) as caught:
        plan_run(request, elsewhere)
    assert caught.value.hint == "Check the tag out: git checkout v3.0.0"
    there = replace(elsewhere, tagged=SHA)
    assert plan_run(request, there).tags.primary.name == "sha-9c68c4a"


@pytest.mark.parametrize(
    ("ref", "default_branch", "expected"),
    [
        ("refs/heads/topic", None, ("topic", "main", "master", "latest")),
        ("refs/heads/main", None, ("main", "master", "latest")),
        ("refs/heads/topic", "develop", ("topic", "develop", "latest")),
        ("refs/heads/develop", "develop", ("develop", "latest")),
        ("refs/tags/v1.2.3", "feature/x", ("feature-x", "latest")),
        ("refs/tags/v1.2.3", "latest", ("branch-latest-5e1e2bca", "latest")),
    ],
)
def test_images_with_the_same_build_inputs_are_looked_for_by_likely_tags(
    ref: str, default_branch: str | None, expected: tuple[str, ...]
) -> None:
    known = replace(checkout(), default_branch=default_branch)
    assert _plan(RunRequest(ref=ref), known).likely_tags == expected
    assert _plan(RunRequest(ref=ref, no_reuse=True), known).likely_tags == ()
    assert _plan(RunRequest(ref=ref), replace(known, dirty=("backend/x",))).likely_tags == ()
