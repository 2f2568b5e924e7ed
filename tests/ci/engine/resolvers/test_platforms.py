"""Images for a platform that the host cannot run: as far as nothing of them has to run."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import dagger
import pytest
from dagger import Platform

from pipeline.rules.platforms import host_platform
from tests.acceptance.published import Image
from tests.ci.engine.conftest import Opened
from tests.registry_fixtures import RunningRegistry, registry

__all__ = ["registry"]

pytestmark = [pytest.mark.engine, pytest.mark.registry]

FOREIGN = Platform("linux/s390x")
SCRATCH = "FROM scratch\nCOPY file /file\n"


def built(engine: Opened, dockerfile: str, platform: Platform | None) -> dagger.Container:
    return engine.source({"Dockerfile": dockerfile, "file": "content"}).docker_build(platform=platform)


async def test_an_image_from_scratch_has_the_engines_own_platform_as_on_a_dagger_engine(engine: Opened) -> None:
    for platform in (None, FOREIGN, None):  # in turn: the builder has a cache
        container = built(engine, SCRATCH, platform)
        assert await container.platform() == str(host_platform())
        assert await container.file("/file").contents() == "content"


async def test_a_container_for_a_platform_takes_over_a_file_system_with_its_layers(
    engine: Opened, registry: RunningRegistry
) -> None:
    original = built(engine, "FROM scratch\nCOPY --chown=7:8 file /file\n", FOREIGN)
    moved = engine.dag.container(platform=FOREIGN).with_rootfs(original.rootfs())

    assert await moved.platform() == FOREIGN
    layers = []
    for tag, container in (("original", original), ("moved", moved)):
        await container.publish(f"{registry.host}/linkradar/lr-backend:{tag}")
        layers.append(Image(registry).manifest(tag)["layers"])
        assert Image(registry).config(tag)["architecture"] == (
            "s390x" if tag == "moved" else host_platform().architecture
        )
    assert layers[0] == layers[1]
    assert layers[0]


async def test_any_other_directory_as_a_file_system_is_refused_by_name(engine: Opened) -> None:
    with pytest.raises(dagger.QueryError, match=r"Container\.withRootfs of a directory that .* is not served"):
        await engine.dag.container().with_rootfs(engine.source({"file": ""})).sync()


async def test_the_platforms_arguments_have_its_values(engine: Opened) -> None:
    dockerfile = "FROM scratch\nARG TARGETARCH\nARG BUILDPLATFORM\nLABEL for=$TARGETARCH on=$BUILDPLATFORM\n"
    for platform, architecture in ((FOREIGN, "s390x"), (None, host_platform().architecture)):
        container = built(engine, dockerfile, platform)
        assert await container.label("for") == architecture
        assert await container.label("on") == str(host_platform())


async def test_a_stage_of_the_host_may_run_commands(engine: Opened, base: str) -> None:
    first = f"FROM --platform=$BUILDPLATFORM {base} AS first\nARG TARGETARCH\nRUN echo $TARGETARCH > /made\n"
    container = built(engine, f"{first}FROM scratch\nCOPY --from=first /made /made\n", FOREIGN)

    assert await container.file("/made").contents() == "s390x\n"


async def test_what_would_have_to_run_is_refused_by_name(engine: Opened, base: str) -> None:
    with pytest.raises(dagger.QueryError, match=r"^exec format error: RUN \(line 2 of Dockerfile\) for linux/s390x "):
        await built(engine, f"FROM {base}\nRUN true\n", FOREIGN).sync()
    with pytest.raises(dagger.QueryError, match=r"^exec format error: Container\.withExec for linux/s390x "):
        await engine.dag.container(platform=FOREIGN).with_exec(["/file"]).sync()


@pytest.mark.parametrize(
    "lines",
    [
        "FROM {base}\n",
        "FROM {base}\nCOPY file /file\n",
        "FROM --platform=$BUILDPLATFORM {base}\nCOPY file /file\n",
        "ARG BASE={base}\nFROM $BASE AS first\nLABEL a=b\nFROM first AS last\n",
    ],
)
async def test_a_base_image_for_another_platform_is_refused_and_spoils_no_cache(
    engine: Opened, base: str, lines: str
) -> None:
    dockerfile = lines.format(base=base)

    with pytest.raises(dagger.QueryError, match=rf"an image for {host_platform()}, but linux/s390x was requested"):
        await built(engine, dockerfile, FOREIGN).sync()

    assert await built(engine, dockerfile, Platform(str(host_platform()))).platform() == str(host_platform())


async def test_variants_become_an_index(engine: Opened, tmp_path: Path) -> None:
    rootfs = built(engine, SCRATCH, None).rootfs()
    variants = [engine.dag.container(platform=platform).with_rootfs(rootfs) for platform in (None, FOREIGN)]
    await engine.dag.container().export(str(tmp_path / "image.tar"), platform_variants=variants)

    with tarfile.open(tmp_path / "image.tar") as archive:

        def content(name: str) -> dict[str, object]:
            file = archive.extractfile(name)
            assert file is not None
            loaded: dict[str, object] = json.load(file)
            return loaded

        top = content("index.json")["manifests"]
        assert isinstance(top, list)
        assert top[0]["mediaType"] == "application/vnd.oci.image.index.v1+json"
        index = content(f"blobs/sha256/{top[0]['digest'].removeprefix('sha256:')}")["manifests"]
    assert isinstance(index, list)
    platforms = [f"{each['platform']['os']}/{each['platform']['architecture']}" for each in index]
    assert platforms == [str(host_platform()), FOREIGN]


async def test_two_variants_of_one_platform_are_refused(engine: Opened) -> None:
    container = built(engine, SCRATCH, None)

    with pytest.raises(dagger.QueryError, match="two of them are for"):
        await container.publish("localhost:1/x", platform_variants=[container.with_label("a", "b")])
