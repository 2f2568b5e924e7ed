"""The module's functions against an engine and a registry, called as `dagger call` does it in a directory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import dagger
import pytest
from dagger import dag
from dagger.mod._exceptions import FunctionError

from ci.engine.events import Event, StepStarted
from ci.local.base_image_mirrors import prepare_base_images
from ci.local.dagger_session import open_session
from ci.local.engine_choice import EngineKind
from pipeline.module import BackendPipeline
from pipeline.rules.build_inputs import INPUTS, BuildInputs
from pipeline.rules.labels import REVISION, SOURCE, TITLE
from pipeline.rules.report import BuildReport, ImageOutcome, PlanReport
from tests.acceptance.command import ROOT
from tests.acceptance.conftest import lr_ci, port_3000
from tests.acceptance.published import Image, uploaded, writes
from tests.acceptance.workspace import Workspace
from tests.pipeline.host_files import HostFiles
from tests.pipeline.images import Image as SmallImage
from tests.pipeline.samples import OTHER_SHA
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry, free_port

__all__ = ["lr_ci", "port_3000"]

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.build, pytest.mark.usefixtures("work")]

Work = list[str]
"""What the embedded engine has done so far, a line a step."""


@pytest.fixture
async def work(engine_kind: str, checkout: Workspace, request: pytest.FixtureRequest) -> AsyncIterator[Work]:
    """A session that is opened in the checkout, and what is done in it."""
    steps: Work = []

    def note(event: Event) -> None:
        if isinstance(event, StepStarted):
            steps.append(event.label)

    kind, mirrors = EngineKind(engine_kind), []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout.folder)
        if kind is EngineKind.EMBEDDED:
            patch.setenv("XDG_CACHE_HOME", str(request.getfixturevalue("lr_ci").cache))
            mirrors = await prepare_base_images(ROOT / "backend" / "Dockerfile", steps.append)
        async with open_session(kind, note, mirrors):
            yield steps


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A repository with the backend; not to be changed."""
    return Workspace.with_backend(tmp_path_factory.mktemp("module") / "repository")


@pytest.fixture
def checkout(origin: Workspace, tmp_path: Path) -> Workspace:
    """A repository of the test's own."""
    return origin.copy(tmp_path / "repository")


def module(**options: Any) -> Any:
    """Construct the module as the runtime does for a call in the session's working directory.

    A Dagger engine reads the name from the `.env` there; the embedded one does not load modules.
    """
    return BackendPipeline(**({"ws": dag.current_workspace(), "name": "lr-backend"} | options))


def service(registry: RunningRegistry) -> dagger.Service:
    """Return the registry as `--registry-service tcp://localhost:PORT` gives it."""
    port = registry.settings.port
    return dag.host().service([dagger.PortForward(backend=port, frontend=port)])


async def test_plan_says_what_would_be_tagged(checkout: Workspace) -> None:
    plan = PlanReport.model_validate_json(await module().plan(), strict=True)

    assert plan.image == "ghcr.io/linkradar/lr-backend"
    assert plan.tags == (f"sha-{checkout.short}", "master")
    assert plan.commit.sha == checkout.head
    assert plan.commit.message == "Keep links\n\nAll of them.\n"
    assert plan.commit.time is not None
    assert plan.commit.time.isoformat() == "2025-11-03T12:00:00+00:00"
    assert plan.commit.url == f"https://github.com/LinkRadar/linkradar/commit/{checkout.head}"
    assert plan.dirty == ()


async def test_a_plan_asks_the_registry_if_it_is_told_to(checkout: Workspace, registry: RunningRegistry) -> None:
    pipeline = module(registry=registry.host, owner="linkradar")
    plan = PlanReport.model_validate_json(await pipeline.plan(online=True, registry_service=service(registry)))

    assert plan.online is not None
    assert {tag.name: tag.outcome for tag in plan.online} == {f"sha-{checkout.short}": "written", "master": "written"}


async def test_a_secret_that_cannot_be_read_is_reported_by_its_option() -> None:
    missing = dag.secret("env:NO_SUCH_VARIABLE_AT_ALL")
    with pytest.raises(FunctionError, match=r"^The token cannot be read: .*\nGive --token env:NAME"):
        await module(registry="localhost:1", owner="linkradar").plan(online=True, token=missing)
    with pytest.raises(FunctionError, match=r"^The build secret 'word' cannot be read: .*\nGive --build-secret env:"):
        await module(build_secret=[missing], build_secret_id=["word"]).build()


async def test_build_gives_the_labelled_container(checkout: Workspace) -> None:
    container = await module().build()

    assert await container.label(TITLE) == "LinkRadar Backend"
    assert await container.label(REVISION) == checkout.head
    recorded = json.loads(await container.label(INPUTS) or "")
    assert recorded["tree"] == checkout.git("rev-parse", "HEAD:backend")
    assert recorded["platforms"] == ["linux/amd64"]
    assert await container.label(SOURCE) == "https://github.com/LinkRadar/linkradar"
    assert (await container.with_exec(["bin/rails", "--version"]).stdout()).startswith("Rails 6.1.")


async def test_build_and_push_answers_with_the_digest_that_all_tags_name(
    checkout: Workspace, registry: RunningRegistry
) -> None:
    digest = await module(registry=registry.host).build_and_push(registry_service=service(registry))

    image = Image(registry)
    assert image.tags() == {f"sha-{checkout.short}", "master"}
    assert {image.digest(tag) for tag in image.tags()} == {digest}


async def test_an_image_with_the_same_build_inputs_is_relabelled(
    checkout: Workspace, registry: RunningRegistry
) -> None:
    tree = checkout.git("rev-parse", "HEAD:backend")
    inputs = BuildInputs(tree=tree, dockerfile="Dockerfile", platforms=("linux/amd64",))
    with registry.client() as client:
        there = SmallImage({**inputs.labels(), REVISION: OTHER_SHA}, created="2025-11-03T12:00:00+00:00")
        there.push(client, "linkradar/lr-backend", "master")
    pipeline = module(registry=registry.host)
    publish = partial(pipeline.publish, force_move=True, registry_service=service(registry))

    with pytest.raises(FunctionError, match="Invalid age 'week'"):
        await publish(max_age="week")
    publication = await publish(max_age="99999d")

    report = BuildReport.model_validate_json(await publication.report.contents())
    assert report.outcome is ImageOutcome.RELABELLED
    assert report.relabelled_from is not None
    assert report.relabelled_from.commit == OTHER_SHA
    image = Image(registry)
    assert image.digest("master") == image.digest(f"sha-{checkout.short}") == publication.digest
    assert image.labels("master")[REVISION] == checkout.head


@pytest.mark.usefixtures("port_3000")
async def test_publish_gives_all_of_it_and_verify_finds_it_fit(checkout: Workspace, registry: RunningRegistry) -> None:
    pipeline = module(registry=registry.host)
    publication = await pipeline.publish(registry_service=service(registry))

    image = Image(registry)
    assert publication.digest == image.digest("master")
    assert publication.image == image.name
    assert publication.tags == [f"sha-{checkout.short}", "master"]
    assert publication.references == [f"{image.name}:{tag}" for tag in publication.tags]
    report = BuildReport.model_validate_json(await publication.report.contents(), strict=True, extra="forbid")
    assert report.built
    assert report.digest == publication.digest
    assert publication.digest in publication.summary

    reference, health = (await pipeline.verify(registry_service=service(registry))).splitlines()
    assert reference == f"{image.name}@{publication.digest}"
    assert health == "HEALTHCHECK: healthy"
    command = ["bin/rails", "--version"]
    requested = await pipeline.verify(registry_service=service(registry), command=command, path="/up")
    _, version, answer = requested.splitlines()
    assert version.startswith("bin/rails --version: Rails 6.1.")
    assert answer == "/up: 200"


async def test_a_detached_head_on_a_version_releases_what_the_branch_built(
    checkout: Workspace, registry: RunningRegistry, work: Work
) -> None:
    built = await module(registry=registry.host).build_and_push(registry_service=service(registry))
    layers = uploaded(registry.requests())
    release = checkout.copy(checkout.folder.with_name("release"))  # a session reads a workspace once
    release.git("tag", "--annotate", "--message", "The first", "v0.1.1")
    release.git("tag", "not-a-version")
    release.git("checkout", "--quiet", "--detach")
    work.clear()

    pipeline = module(ws=HostFiles(dag, release.folder), registry=registry.host)
    publication = await pipeline.publish(registry_service=service(registry))
    report = json.loads(await publication.report.contents())

    assert publication.digest == built
    assert publication.tags == [f"sha-{checkout.short}", "v0.1.1", "latest"]
    assert {Image(registry).digest(tag) for tag in publication.tags} == {built}
    assert uploaded(registry.requests()) == layers
    assert not report["built"]
    assert not [step for step in work if "build" in step.lower()]


async def test_a_detached_head_elsewhere_asks_for_the_ref(checkout: Workspace) -> None:
    checkout.git("checkout", "--quiet", "--detach")

    with pytest.raises(FunctionError, match=f"HEAD is detached at {checkout.short}.*\n.*--ref refs/heads/<branch>"):
        await module().plan()

    plan = json.loads(await module().plan(ref="refs/heads/feature/notes"))
    assert plan["tags"] == [f"sha-{checkout.short}", "feature-notes"]


async def test_a_dirty_tree_is_refused_or_gets_a_tag_of_its_own(checkout: Workspace, registry: RunningRegistry) -> None:
    checkout.append("backend/app/models/link.rb", "\n# Not committed.\n")
    pipeline = module(registry=registry.host)

    with pytest.raises(FunctionError, match=f"differs from commit {checkout.short}: backend/app/models/link.rb"):
        await pipeline.build_and_push(registry_service=service(registry))
    assert writes(registry.requests()) == []

    publication = await pipeline.publish(registry_service=service(registry), allow_dirty=True)
    assert [tag[:-8] for tag in publication.tags] == [f"sha-{checkout.short}-dirty-"]
    assert Image(registry).tags() == set(publication.tags)


@pytest.mark.parametrize("ending", ["", "\n"])
async def test_a_token_opens_a_registry_that_wants_one(registry_with_auth: RunningRegistry, ending: str) -> None:
    token = dag.set_secret(f"token{len(ending)}", PASSWORD + ending)
    pipeline = module(registry=registry_with_auth.host)

    digest = await pipeline.build_and_push(username=USER, token=token, registry_service=service(registry_with_auth))

    assert Image(registry_with_auth).digest("master") == digest


async def test_a_registry_that_wants_a_token_is_told_of_before_anything_is_built(
    registry_with_auth: RunningRegistry, work: Work
) -> None:
    pipeline = module(registry=registry_with_auth.host)

    with pytest.raises(
        FunctionError, match=f"^{registry_with_auth.host} requires credentials .*\nGive --token env:NAME"
    ):
        await pipeline.build_and_push(registry_service=service(registry_with_auth))

    assert not [step for step in work if "build" in step.lower()]
    assert writes(registry_with_auth.requests()) == []


async def test_a_wrong_token_says_so(registry_with_auth: RunningRegistry) -> None:
    pipeline = module(registry=registry_with_auth.host)
    token = dag.set_secret("wrong", "not the password")

    with pytest.raises(FunctionError, match="refuses these credentials") as caught:
        await pipeline.build_and_push(username=USER, token=token, registry_service=service(registry_with_auth))

    assert "not the password" not in str(caught.value)


async def test_a_failing_command_ends_the_message(checkout: Workspace, registry: RunningRegistry) -> None:
    checkout.write("backend/Dockerfile", "FROM debian:bookworm-slim\nRUN echo the reason >&2 && exit 23\n")
    checkout.commit("Break the build")
    pipeline = module(registry=registry.host)

    with pytest.raises(FunctionError) as caught:
        await pipeline.build_and_push(registry_service=service(registry))
    assert str(caught.value).splitlines()[1:] == [
        "`echo the reason >&2 && exit 23` exited with 23 (line 2 of Dockerfile):",
        "  1 | FROM debian:bookworm-slim",
        "> 2 | RUN echo the reason >&2 && exit 23",
        "Its output:",
        "  | the reason",
    ]

    assert writes(registry.requests()) == []


async def test_a_missing_dockerfile_is_named() -> None:
    with pytest.raises(FunctionError, match=r"Dockerfile 'Other\.dockerfile' not found in directory 'backend'"):
        await module(dockerfile="Other.dockerfile").build()


async def test_a_registry_service_that_nothing_is_behind_is_told_before_anything_is_built(work: Work) -> None:
    port = free_port()
    dead = dag.host().service([dagger.PortForward(backend=port, frontend=port)])
    pipeline = module(registry=f"localhost:{port}")

    for function in (pipeline.build_and_push, pipeline.verify):
        with pytest.raises(FunctionError) as caught:
            await function(registry_service=dead)
        what, hint = str(caught.value).splitlines()
        assert what.startswith(f"The service for localhost:{port} does not answer: ")
        assert not what.endswith("..")
        assert hint == "Start the registry, and pass --registry-service tcp://localhost:PORT."
    assert not [step for step in work if "build" in step.lower()]


async def test_an_image_that_is_not_published_cannot_be_verified(
    checkout: Workspace, registry: RunningRegistry
) -> None:
    pipeline = module(registry=registry.host)

    with pytest.raises(FunctionError, match=f"sha-{checkout.short} is not in the registry"):
        await pipeline.verify(registry_service=service(registry))


async def test_source_and_commit_are_those_of_the_given_workspace(tmp_path: Path) -> None:
    other = Workspace.with_dockerfile(tmp_path / "other", "FROM scratch\nLABEL part=other\n")

    container = await module(ws=HostFiles(dag, other.folder)).build()

    assert (await container.label("part"), await container.label(REVISION)) == ("other", other.head)


async def test_a_source_is_a_path_from_the_top_of_the_repository(checkout: Workspace) -> None:
    checkout.write("services/api/Dockerfile", "FROM scratch\nLABEL part=api\n")
    checkout.commit("Add a service")

    for source in ("services/api", "/services/api", "./services//api/"):
        assert await (await module(source=source).build()).label("part") == "api"


async def test_a_source_out_of_the_repository_is_refused() -> None:
    with pytest.raises(FunctionError, match=r"Invalid source '\.\./repository/backend': the path leads out"):
        await module(source="../repository/backend").build()


@pytest.mark.parametrize("source", ["frontend", "backend/Dockerfile"])
async def test_a_missing_source_is_named(source: str) -> None:
    with pytest.raises(FunctionError, match=f"^Directory '{source}' not found in the repository"):
        await module(source=source).build()
    with pytest.raises(FunctionError, match=f"^Directory '{source}' not found in the repository"):
        await module(source=source).image_builds()


async def test_a_worktree_has_no_origin(checkout: Workspace) -> None:
    checkout.git("worktree", "add", "--quiet", "-b", "other", str(checkout.folder / "worktree"))

    plan = json.loads(await module(ws=HostFiles(dag, checkout.folder / "worktree")).plan())

    assert (plan["commit"]["sha"], plan["ref"], plan["dirty"]) == (checkout.head, "refs/heads/other", [])
    assert plan["image"] == "ghcr.io/lr-backend"
    assert plan["commit"]["url"] is None


async def test_a_directory_outside_of_git_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()

    with pytest.raises(FunctionError, match=r"^Git could not read what is checked out: .*not a git repository"):
        await module(ws=HostFiles(dag, tmp_path / "plain")).plan()


async def test_build_options_reach_the_image(checkout: Workspace) -> None:
    lines = [
        "FROM debian:bookworm-slim AS wanted",
        "ARG GREETING",
        # New each time: an engine does not run a step again because it gets another secret, or none.
        f'RUN --mount=type=secret,id=word : {token_hex(8)} && test "$(cat /run/secrets/word)" = hunter2',
        'RUN echo "$GREETING" > /greeting',
        "FROM wanted",
        "RUN exit 1",
    ]
    checkout.write("api/Containerfile", "\n".join(lines))
    checkout.commit("Add a service")
    options = {
        "source": "api",
        "target": "wanted",
        "build_arg": ["GREETING=hello, world"],
        "build_secret": [dag.set_secret("unnamed", "hunter2")],
        "build_secret_id": ["word"],
        "label": ["team=links"],
        "annotation": ["note=short"],
    }

    container = await module(**options).build()

    assert await container.file("/greeting").contents() == "hello, world\n"
    assert await container.label("team") == "links"
    recorded = json.loads(await container.label(INPUTS) or "")
    assert (recorded["dockerfile"], recorded["target"], recorded["secrets"]) == ("Containerfile", "wanted", ["word"])
    assert [name for name, _ in recorded["build_args"]] == ["GREETING"]
    assert "hello" not in json.dumps(recorded)
    await module(**options).image_builds()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"build_arg": ["GREETING"]}, "Invalid build argument 'GREETING': expected NAME=VALUE"),
        ({"build_secret_id": ["a"]}, "0 build secrets require as many different ids, got 1: 'a'"),
        (
            {"label": ["org.opencontainers.image.revision=x"]},
            "image.revision' is set by the pipeline",
        ),
    ],
)
async def test_invalid_build_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(FunctionError, match=says):
        await module(**options).image_builds()
    with pytest.raises(FunctionError, match=says):
        await module(**options).plan()
