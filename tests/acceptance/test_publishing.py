"""A branch is built once, uploaded once, tagged by single requests, and found again by the next run."""

from __future__ import annotations

import json
import re
import secrets
from itertools import pairwise
from pathlib import Path

from pipeline.rules.report import TagOutcome
from tests.acceptance.command import Command, ended
from tests.acceptance.conftest import Publication
from tests.acceptance.published import Image, blob_requests, tags_written, uploaded, writes
from tests.acceptance.workspace import COMMIT_TIME, Workspace
from tests.registry_fixtures import RunningRegistry

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MEMBER = "org.opencontainers.image."


def test_the_digest_alone_is_on_standard_output(publication: Publication) -> None:
    assert DIGEST.fullmatch(publication.first.stdout.removesuffix("\n"))


def test_a_branch_gets_the_tag_of_its_commit_and_its_own(publication: Publication) -> None:
    assert publication.image.tags() == {f"sha-{publication.workspace.short}", "master"}


def test_all_tags_name_one_manifest_byte_for_byte(publication: Publication) -> None:
    image = publication.image
    contents = {image.content(reference) for reference in [*image.tags(), publication.digest]}

    assert len(contents) == 1
    assert image.digest("master") == publication.digest


def test_the_image_says_what_it_is_and_where_it_comes_from(publication: Publication) -> None:
    head = publication.workspace.head
    repository = "https://github.com/LinkRadar/linkradar"

    labels = publication.image.labels("master")

    assert {key.removeprefix(MEMBER): value for key, value in labels.items() if key.startswith(MEMBER)} == {
        "title": "LinkRadar Backend",
        "description": "LinkRadar Backend API Server",
        "licenses": "MIT",
        "source": repository,
        "url": f"{repository}/commit/{head}",
        "revision": head,
        "created": COMMIT_TIME,
    }
    assert publication.image.config("master")["created"] == COMMIT_TIME


def test_every_blob_is_uploaded_once(publication: Publication) -> None:
    sent = uploaded(publication.first_requests)

    assert len(sent) == len(set(sent))
    assert set(sent) == publication.image.blobs("master")


def test_a_second_run_builds_nothing(publication: Publication) -> None:
    assert not publication.second.report.built
    assert publication.second.report.digest == publication.digest
    assert {tag.outcome for tag in publication.second.report.tags} == {TagOutcome.PRESENT}


def test_a_second_run_starts_no_engine(publication: Publication) -> None:
    assert "Engine: embedded" in publication.first.stderr
    assert "Engine:" not in publication.second.stderr


def test_a_second_run_writes_nothing_to_the_registry(publication: Publication) -> None:
    assert publication.second_requests
    assert writes(publication.second_requests) == []


def test_each_further_tag_is_one_request_and_no_blob(
    lr_ci: Command, workspace: Workspace, registry: RunningRegistry
) -> None:
    workspace.git("tag", "v1.4.0")
    workspace.git("checkout", "--quiet", "--detach")

    lr_ci.run(workspace.folder, "build-and-push", "--registry", registry.host).succeeded()

    requests = registry.requests()
    assert tags_written(requests) == ["incoming", f"sha-{workspace.short}", "v1.4.0", "latest"]
    first = next(place for place, request in enumerate(requests) if tags_written([request]))
    assert blob_requests(requests[first:]) == []
    assert tags_written(writes(requests[first:])) == ["incoming", f"sha-{workspace.short}", "v1.4.0", "latest"]
    assert len(writes(requests[first:])) == 4


def test_a_change_of_the_code_builds_and_sends_the_codes_layers_alone(
    lr_ci: Command, workspace: Workspace, published: Image
) -> None:
    before = published.manifest("master")
    workspace.append("backend/app/models/link.rb", f"\n# A remark that no cache has seen: {secrets.token_hex(8)}.\n")
    workspace.commit("Say more")

    run = lr_ci.run(workspace.folder, "build-and-push", "--registry", published.registry.host, "--json").succeeded()

    assert run.report.built
    lines = [line.removeprefix("  | ") for line in run.stderr.splitlines()]
    cached = {step for step, answer in pairwise(lines) if answer.startswith("--> Using cache")}
    ran = {line for line in lines if " STEP " in line and line not in cached and ": FROM " not in line}
    assert any("apt-get install" in step for step in cached)
    assert any(": COPY --chmod=0755 app app/" in step for step in ran)
    assert all(": COPY --chmod=0755 app app/" in step or "[4/4]" in step or ": USER" in step for step in ran), ran
    sent = uploaded(published.registry.requests())
    after = published.manifest("master")
    old = {layer["digest"] for layer in before["layers"]}
    new = [layer for layer in after["layers"] if layer["digest"] not in old]
    assert set(sent) == {after["config"]["digest"], *(layer["digest"] for layer in new)}
    assert len(sent) == len(set(sent))
    assert sum(layer["size"] for layer in new) < 100_000 < sum(layer["size"] for layer in before["layers"])


def test_two_runs_at_once_of_one_commit_end_on_one_digest(
    lr_ci: Command, workspace: Workspace, registry: RunningRegistry
) -> None:
    arguments = ["build-and-push", "--registry", registry.host]
    runs = [ended(run) for run in [lr_ci.start(workspace.folder, *arguments) for _ in range(2)]]

    assert len({run.succeeded().stdout for run in runs}) == 1
    image = Image(registry)
    assert {image.digest(tag) for tag in image.tags()} == {runs[0].stdout.strip()}


def test_two_runs_at_once_of_two_commits_publish_both(
    small_lr_ci: Command, small: Workspace, registry: RunningRegistry
) -> None:
    other = small.copy(small.folder.with_name("other"))
    other.git("checkout", "--quiet", "-b", "feature/notes")
    other.append("backend/Dockerfile", "RUN touch /another\n")
    other.commit("Build something else")

    arguments = ["build-and-push", "--registry", registry.host]
    runs = [ended(run) for run in [small_lr_ci.start(each.folder, *arguments) for each in (small, other)]]

    digests = [run.succeeded().stdout.strip() for run in runs]
    image = Image(registry)
    assert image.tags() == {"master", f"sha-{small.short}", "feature-notes", f"sha-{other.short}"}
    assert [image.digest("master"), image.digest("feature-notes")] == digests
    assert image.labels(f"sha-{other.short}")["org.opencontainers.image.revision"] == other.head


def test_changes_outside_of_the_source_do_not_make_it_dirty(
    small_lr_ci: Command, small: Workspace, registry: RunningRegistry
) -> None:
    small.write("NOTES.txt", "not committed\n")
    small.append(".env", "# A remark.\n")

    small_lr_ci.run(small.folder, "build-and-push", "--registry", registry.host).succeeded()

    assert Image(registry).tags() == {"master", f"sha-{small.short}"}


def test_build_options_reach_the_image(
    small_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry
) -> None:
    workspace = Workspace.create(tmp_path / "repository")
    secret = 'RUN --mount=type=secret,id=word test "$(cat /run/secrets/word)" = hunter2'
    stages = [f"FROM {base} AS wanted", "ARG GREETING", secret, "ENV GREETING=$GREETING", "FROM wanted", "RUN exit 1"]
    workspace.write("services/api/Containerfile", "\n".join(stages))
    workspace.write(".env", "BACKEND_PIPELINE_NAME=lr-backend\n")
    workspace.commit("Add a service")
    lr_ci = small_lr_ci.with_variables(WORD="hunter2")
    options = [
        "--source",
        "services/api",
        "--target",
        "wanted",
        "--build-secret",
        "word=env:WORD",
        "--label",
        "team=links",
    ]
    push = ["build-and-push", "--registry", registry.host, *options, "--annotation", "note=short"]

    lr_ci.run(workspace.folder, *push, "--build-arg", "GREETING=hello, world").succeeded()

    image = Image(registry)
    assert "GREETING=hello, world" in image.config("master")["config"]["Env"]
    assert image.labels("master")["team"] == "links"
    assert json.loads(image.content("master"))["annotations"] == {"note": "short"}
    other = lr_ci.run(workspace.folder, *push, "--build-arg", "GREETING=bye")
    assert other.exit_code == 6
    assert "build argument 'GREETING' with another value" in other.error
    assert "hello" not in other.error
    missing = small_lr_ci.run(workspace.folder, *push)
    assert missing.exit_code == 2
    assert "Build secret 'word': The environment variable WORD is not set." in missing.error
