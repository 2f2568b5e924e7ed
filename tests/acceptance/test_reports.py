"""What `--json` prints is what other programs rely on."""

from __future__ import annotations

import json

from tests.acceptance.command import Command
from tests.acceptance.conftest import Publication
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry


def test_the_report_tells_what_a_deployment_needs(publication: Publication) -> None:
    report = json.loads(publication.second.stdout)
    head = publication.workspace.head

    assert report["image"] == publication.image.name
    assert report["digest"] == publication.digest
    assert [(tag["name"], tag["reference"], tag["outcome"]) for tag in report["tags"]] == [
        (f"sha-{head[:7]}", f"{publication.image.name}:sha-{head[:7]}", "present"),
        ("master", f"{publication.image.name}:master", "present"),
    ]
    assert report["commit"]["sha"] == head
    assert report["commit"]["short_sha"] == head[:7]
    assert report["commit"]["message"] == "Keep links\n\nAll of them.\n"
    assert report["ref"] == "refs/heads/master"
    assert report["built"] is False


def test_the_report_of_a_build_has_the_documented_fields_and_no_others(
    small_lr_ci: Command, small: Workspace, registry: RunningRegistry
) -> None:
    run = small_lr_ci.run(small.folder, "build-and-push", "--registry", registry.host, "--json").succeeded()

    assert run.report.built
    assert run.report.digest == Image(registry).digest("master")
    assert [(tag.name, tag.outcome) for tag in run.report.tags] == [
        (f"sha-{small.short}", "written"),
        ("master", "written"),
    ]


def test_a_plan_needs_neither_registry_nor_checkout(own_lr_ci: Command, small: Workspace) -> None:
    arguments = [
        "plan",
        "--owner",
        "LinkRadar",
        "--name",
        "lr-backend",
        "--ref",
        "refs/tags/v0.1.1",
        "--sha",
        "C" * 40,
        "--json",
    ]
    run = own_lr_ci.run(small.folder.parent, *arguments).succeeded()

    plan = json.loads(run.stdout)
    assert plan["image"] == "ghcr.io/linkradar/lr-backend"
    assert plan["primary"] == "sha-ccccccc"
    assert plan["tags"] == ["sha-ccccccc", "v0.1.1", "latest"]
    assert not own_lr_ci.engine_folder.exists()


def test_a_dirty_tree_is_published_under_its_own_tag_alone(
    small_lr_ci: Command, small: Workspace, registry: RunningRegistry
) -> None:
    small.write("backend/notes.txt", "not committed\n")
    arguments = ["build-and-push", "--registry", registry.host, "--allow-dirty", "--json"]

    first = small_lr_ci.run(small.folder, *arguments).succeeded()
    small.append("backend/notes.txt", "and more of it\n")
    second = small_lr_ci.run(small.folder, *arguments).succeeded()

    tags = [tag.name for run in (first, second) for tag in run.report.tags]
    assert len(set(tags)) == 2
    assert Image(registry).tags() == set(tags)
    for tag in tags:
        stem, _, content = tag.rpartition("-")
        assert stem == f"sha-{small.short}-dirty"
        assert len(content) == 8
