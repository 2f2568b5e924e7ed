"""What needs no build: a release of a published commit, and a commit that does not touch the source."""

from __future__ import annotations

from pipeline.rules.report import BuildReport, ImageOutcome, TagOutcome
from tests.acceptance.command import Command
from tests.acceptance.published import Image, blob_requests, tags_written, uploaded, writes
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


def test_a_commit_that_does_not_touch_the_source_gets_the_last_image_with_its_own_labels(
    lr_ci: Command, workspace: Workspace, published: Image
) -> None:
    before, layers = published.digest("master"), published.manifest("master")["layers"]
    workspace.write("NOTES.md", "Not part of the backend.\n")
    commit = workspace.commit("Write notes")

    arguments = ["build-and-push", "--registry", published.registry.host, "--max-age", "99999d", "--json"]
    ended = lr_ci.run(workspace.folder, *arguments).succeeded()

    assert ended.report.outcome is ImageOutcome.RELABELLED
    assert ended.report.relabelled_from is not None
    assert ended.report.relabelled_from.digest == before
    assert "Engine:" not in ended.stderr, "no engine is opened"
    requests = published.registry.requests()
    assert tags_written(writes(requests)) == [ended.report.digest, f"sha-{workspace.short}", "master"]
    assert len(uploaded(requests)) == 1, "the configuration"
    assert published.manifest("master")["layers"] == layers
    assert published.labels("master")["org.opencontainers.image.revision"] == commit


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
