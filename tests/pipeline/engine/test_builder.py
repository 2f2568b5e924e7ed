"""Images of small sources, built, exported and uploaded by the engine, and what is said where that fails."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import dagger
import pytest
from dagger import dag
from pydantic import SecretStr

from pipeline.engine import builder as module
from pipeline.engine.builder import DaggerBuilder, EngineAccess, Source, check_build, find_dockerfile
from pipeline.registry.credentials import Credentials
from pipeline.rules.build_inputs import Recipe
from pipeline.rules.errors import AuthError, BuildError, EngineError, RegistryError, UsageError
from pipeline.rules.labels import REVISION, TITLE
from pipeline.rules.platforms import Platform, host_platform, parse_platform, parse_platforms
from tests.acceptance.published import Image
from tests.pipeline.host_files import MakeDirectory
from tests.pipeline.samples import SHA, run_plan
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry, free_port

pytestmark = [pytest.mark.engine, pytest.mark.registry]

BOTH = parse_platforms("linux/amd64,linux/arm64")
SCRATCH = "FROM scratch\nCOPY file /file\n"


def source(directory: MakeDirectory, dockerfile: str = SCRATCH, *, platforms: str = str(host_platform())) -> Source:
    recipe = Recipe("Dockerfile", parse_platforms(platforms), annotations=(("org.example.note", "kept"),))
    return Source(directory({"Dockerfile": dockerfile, "file": "content"}), "backend", recipe)


async def test_an_image_is_labelled_with_its_commit_and_annotated(
    directory: MakeDirectory, shared_registry: RunningRegistry
) -> None:
    plan = run_plan(shared_registry.host, platform=parse_platforms(str(host_platform())))
    builder = DaggerBuilder(source(directory))
    digest = await builder.upload(plan, plan.image.tagged("built"))

    image = Image(shared_registry)
    assert image.digest("built") == digest
    assert image.labels("built")[REVISION] == SHA
    assert image.labels("built")[TITLE]
    assert image.manifest("built")["annotations"]["org.example.note"] == "kept"


async def test_the_content_of_a_source_changes_with_it(directory: MakeDirectory) -> None:
    first = await DaggerBuilder(source(directory)).content()
    assert await DaggerBuilder(source(directory)).content() == first
    assert await DaggerBuilder(source(directory, SCRATCH + "LABEL a=b\n")).content() != first


@pytest.mark.usefixtures("directory")
async def test_a_source_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    missing = Source(dag.host().directory(str(tmp_path / "missing")), "backend", Recipe("Dockerfile", BOTH))
    with pytest.raises(EngineError, match="while reading the source"):
        await DaggerBuilder(missing).content()
    with pytest.raises(EngineError, match="while reading the source"):
        await find_dockerfile(missing.directory, "backend")
    with pytest.raises(BuildError, match=r"^api from Dockerfile could not be built"):
        await check_build(missing, "api")


async def test_a_dockerfile_that_is_missing_is_reported(directory: MakeDirectory) -> None:
    found = source(directory)
    with pytest.raises(UsageError, match=r"other\.Dockerfile"):
        await check_build(replace(found, recipe=replace(found.recipe, dockerfile="other.Dockerfile")), "api")
    assert await find_dockerfile(found.directory, "backend") == "Dockerfile"


async def test_a_step_that_fails_is_reported_wherever_it_is_noticed(directory: MakeDirectory, base: str) -> None:
    broken = source(directory, f"FROM {base}\nRUN echo broken >&2; exit 7\n")
    plan = run_plan(platform=broken.recipe.platforms)
    for attempt in (DaggerBuilder(broken).build(plan), check_build(broken, "lr-backend")):
        with pytest.raises(BuildError, match=r"(?s)^lr-backend from Dockerfile could not be built.*exited with 7"):
            await attempt


async def test_an_index_is_uploaded_at_once_and_run_as_the_engines_own_platform(
    directory: MakeDirectory, shared_registry: RunningRegistry
) -> None:
    builder = DaggerBuilder(source(directory, platforms="linux/amd64,linux/arm64"))
    plan = run_plan(shared_registry.host, platform=BOTH)
    await builder.build(plan)
    await builder.upload(plan, plan.image.tagged("index"))

    with shared_registry.client() as client:
        accept = {"accept": "application/vnd.oci.image.index.v1+json"}
        index = client.get("/v2/linkradar/lr-backend/manifests/index", headers=accept).raise_for_status().json()
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    own = parse_platform(await (await builder.container(plan)).platform())
    assert own.matches(BOTH.preferred(host_platform()))


async def test_an_engine_that_does_not_say_what_it_is_cannot_choose_an_image(
    directory: MakeDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in: an engine that answers everything but this question cannot be had.
    async def lost() -> Platform:
        msg = "connection refused"
        raise dagger.ClientConnectionError(msg)

    monkeypatch.setattr(module, "own_platform", lost)
    with pytest.raises(EngineError, match="did not answer"):
        await DaggerBuilder(source(directory, platforms=str(BOTH))).container(run_plan(platform=BOTH))


async def test_an_address_without_a_digest_is_not_taken_for_a_success(
    directory: MakeDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in: no engine is known to answer so.
    async def publish(_self: object, address: str, **_: object) -> str:
        return address

    monkeypatch.setattr(dagger.Container, "publish", publish)
    plan = run_plan(platform=parse_platforms(str(host_platform())))
    with pytest.raises(RegistryError, match="instead of a digest"):
        await DaggerBuilder(source(directory)).upload(plan, plan.image.tagged("one"))


async def test_an_image_is_exported_as_an_archive(directory: MakeDirectory, tmp_path: Path) -> None:
    builder, plan = DaggerBuilder(source(directory)), run_plan(platform=parse_platforms(str(host_platform())))
    await builder.export(plan, str(tmp_path / "image.tar"))
    with tarfile.open(tmp_path / "image.tar") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        assert len(json.load(index)["manifests"]) == 1
    (tmp_path / "folder").mkdir()
    with pytest.raises(BuildError, match="could not be written to"):
        await builder.export(plan, str(tmp_path / "folder"))


async def test_an_upload_with_credentials_is_allowed_and_without_denied(
    directory: MakeDirectory, registry_with_auth: RunningRegistry
) -> None:
    plan = run_plan(registry_with_auth.host, platform=parse_platforms(str(host_platform())))
    reference = plan.image.tagged("signed-in")
    with pytest.raises(AuthError, match="denied push access"):
        await DaggerBuilder(source(directory)).upload(plan, reference)
    access = EngineAccess(Credentials(username=USER, password=SecretStr(PASSWORD)))
    assert (await DaggerBuilder(source(directory), access).upload(plan, reference)).startswith("sha256:")


async def test_an_upload_to_a_registry_that_does_not_answer_fails(directory: MakeDirectory) -> None:
    plan = run_plan(f"localhost:{free_port()}", platform=parse_platforms(str(host_platform())))
    with pytest.raises(RegistryError, match="could not be uploaded"):
        await DaggerBuilder(source(directory)).upload(plan, plan.image.tagged("nowhere"))
