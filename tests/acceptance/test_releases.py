"""A release is the very image that its commit was published as: nothing is built, only tags are written."""

from __future__ import annotations

from pipeline.rules.report import BuildReport, TagOutcome
from tests.acceptance.command import Command
from tests.acceptance.published import Image, blob_requests, tags_written, writes
from tests.acceptance.workspace import Workspace


def release(lr_ci: Command, workspace: Workspace, image: Image, version: str, *more: str) -> BuildReport:
    """Tag the commit at HEAD and publish it as the checkout of a tag does: with a detached HEAD."""
    workspace.git("tag", version)
    workspace.git("checkout", "--quiet", "--detach", version)
    arguments = ["--registry", image.registry.host, "--json", *more]
    report = lr_ci.run(workspace.folder, "build-and-push", *arguments).succeeded().report
    workspace.git("checkout", "--quiet", "master")
    return report


def outcomes(report: BuildReport) -> dict[str, TagOutcome]:
    return {tag.name: tag.outcome for tag in report.tags}


def test_a_release_of_a_published_commit_is_that_image(lr_ci: Command, workspace: Workspace, published: Image) -> None:
    staging = published.content(f"sha-{workspace.short}")

    report = release(lr_ci, workspace, published, "v0.1.1")

    assert not report.built
    assert report.version == "v0.1.1"
    assert report.ref == "refs/tags/v0.1.1"
    assert report.digest == published.digest(f"sha-{workspace.short}")
    assert published.content("v0.1.1") == published.content("latest") == staging
    requests = published.registry.requests()
    assert tags_written(writes(requests)) == ["v0.1.1", "latest"]
    assert [request.method for request in blob_requests(requests)] == ["GET"]  # the labels, which say whose image it is


def test_a_prerelease_is_never_latest(lr_ci: Command, workspace: Workspace, published: Image) -> None:
    report = release(lr_ci, workspace, published, "v0.2.0-rc.1")

    assert [tag.name for tag in report.tags] == [f"sha-{workspace.short}", "v0.2.0-rc.1"]
    assert "latest" not in published.tags()


def test_a_patch_of_an_old_line_leaves_latest_where_it_is_and_says_why(
    lr_ci: Command, workspace: Workspace, published: Image
) -> None:
    release(lr_ci, workspace, published, "v2.0.0")
    newest = published.digest("latest")
    workspace.append("backend/app/models/link.rb", "\n# A repair.\n")
    workspace.commit("Repair the old line")

    report = release(lr_ci, workspace, published, "v1.9.1")

    assert report.built
    assert outcomes(report) == {
        f"sha-{workspace.short}": TagOutcome.WRITTEN,
        "v1.9.1": TagOutcome.WRITTEN,
        "latest": TagOutcome.KEPT,
    }
    assert report.tags[-1].reason == "v2.0.0 is a higher release than v1.9.1"
    assert published.digest("latest") == newest
    assert published.digest("v1.9.1") == report.digest != newest
