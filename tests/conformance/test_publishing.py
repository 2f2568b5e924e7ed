from __future__ import annotations

import asyncio
import json
import re
import tarfile
from pathlib import Path

import dagger
import httpx
import pytest

from tests.conformance.conftest import MakeDirectory, Registry

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def manifest(
    registry: Registry, repository: str, reference: str, media_type: str = _MANIFEST
) -> tuple[str, dict[str, object]]:
    with httpx.Client(base_url=f"{registry.url}/v2/{repository}", trust_env=False) as client:
        found = client.get(f"/manifests/{reference}", headers={"accept": media_type}).raise_for_status()
        return found.headers["docker-content-digest"], found.json()


def blob(registry: Registry, repository: str, digest: str) -> dict[str, object]:
    with httpx.Client(base_url=f"{registry.url}/v2/{repository}", trust_env=False) as client:
        content: dict[str, object] = client.get(f"/blobs/{digest}").raise_for_status().json()
        return content


async def test_publish_answers_with_the_digest_that_the_registry_has(
    dag: dagger.Client, base: str, registry: Registry
) -> None:
    container = dag.container().from_(base).with_label("made", "here").with_annotation("note", "text")

    address = await container.publish(f"{registry.host}/published:one", registry_service=registry.service)

    assert re.fullmatch(rf"{registry.host}/published:one@sha256:[0-9a-f]{{64}}", address)
    digest, found = manifest(registry, "published", "one")
    assert address.endswith(digest)
    assert found["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert found["annotations"] == {"note": "text"}
    layers = found["layers"]
    assert isinstance(layers, list)
    assert {layer["mediaType"] for layer in layers} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    config = found["config"]
    assert isinstance(config, dict)
    content = blob(registry, "published", config["digest"])
    assert isinstance(content["config"], dict)
    assert content["config"]["Labels"]["made"] == "here"


async def test_labels_add_no_layer(dag: dagger.Client, base: str, registry: Registry) -> None:
    plain = dag.container().from_(base)
    service = registry.service
    await plain.publish(f"{registry.host}/layers:plain", registry_service=service)
    await plain.with_label("a", "b").publish(f"{registry.host}/layers:labelled", registry_service=service)

    _, before = manifest(registry, "layers", "plain")
    _, after = manifest(registry, "layers", "labelled")

    assert after["layers"] == before["layers"]
    assert after["config"] != before["config"]


async def test_further_tags_have_the_same_digest(dag: dagger.Client, base: str, registry: Registry) -> None:
    container = dag.container().from_(base).with_exec(["sh", "-c", "echo built > /built"])

    async def publish(tag: str) -> str:
        return await container.publish(f"{registry.host}/tags:{tag}", registry_service=registry.service)

    addresses = await asyncio.gather(*(publish(tag) for tag in ("one", "two", "three")))

    assert len({address.partition("@")[2] for address in addresses}) == 1


async def test_a_published_image_is_pulled_again(
    dag: dagger.Client, directory: MakeDirectory, base: str, registry: Registry
) -> None:
    source = directory({"Dockerfile": f'FROM {base}\nRUN echo hi > /hello\nENTRYPOINT ["cat"]\n'})
    address = await source.docker_build().publish(f"{registry.host}/pulled:one", registry_service=registry.service)

    pulled = dag.container().from_(address, registry_service=registry.service)

    assert await pulled.entrypoint() == ["cat"]
    assert await pulled.with_exec(["cat", "/hello"]).stdout() == "hi\n"


async def test_a_registry_that_is_not_there_is_an_error(dag: dagger.Client, base: str) -> None:
    with pytest.raises(dagger.QueryError, match=r"refused|dial"):
        await dag.container().from_(base).publish("127.0.0.1:1/nowhere:tag")


async def test_an_invalid_name_is_refused(dag: dagger.Client, base: str) -> None:
    with pytest.raises(dagger.QueryError, match=r"(?i)invalid reference"):
        await dag.container().from_(base).publish("Not A Name")


async def test_an_image_is_written_to_the_host(dag: dagger.Client, base: str, folder: Path) -> None:
    await dag.container().from_(base).with_label("a", "b").export(str(folder / "image.tar"))

    with tarfile.open(folder / "image.tar") as archive:
        found = archive.extractfile("index.json")
        assert found is not None
        assert json.load(found)["schemaVersion"] == 2


async def test_platform_variants_become_an_index(
    dag: dagger.Client, directory: MakeDirectory, registry: Registry
) -> None:
    source = directory({"Dockerfile": "FROM scratch\nCOPY file /file\n", "file": ""})
    platforms = ["linux/amd64", "linux/arm64"]
    rootfs = source.docker_build().rootfs()
    variants = [dag.container(platform=dagger.Platform(platform)).with_rootfs(rootfs) for platform in platforms]
    assert [await variant.platform() for variant in variants] == platforms

    address = await dag.container().publish(
        f"{registry.host}/index:one", platform_variants=variants, registry_service=registry.service
    )

    digest, found_index = manifest(registry, "index", "one", "application/vnd.oci.image.index.v1+json")
    assert address.endswith(digest)
    entries = found_index["manifests"]
    assert isinstance(entries, list)
    assert [f"{each['platform']['os']}/{each['platform']['architecture']}" for each in entries] == platforms


async def test_an_image_from_scratch_has_the_engines_own_platform(dag: dagger.Client, directory: MakeDirectory) -> None:
    # Wrong, but what the pipeline's way to an image for another platform depends on.
    source = directory({"Dockerfile": "FROM scratch\nCOPY file /file\n", "file": ""})
    own = await dag.default_platform()
    for platform in ("linux/amd64", "linux/arm64"):
        assert await source.docker_build(platform=dagger.Platform(platform)).platform() == own


async def test_the_configuration_of_an_image_is_read_and_set(dag: dagger.Client, directory: MakeDirectory) -> None:
    lines = 'ENV A="1 2"\nLABEL b=c\nEXPOSE 80\nUSER 7\nWORKDIR /d\nHEALTHCHECK --retries=2 CMD ["/x", "y"]\n'
    built = directory({"Dockerfile": f"FROM scratch\nCOPY file /file\n{lines}", "file": ""}).docker_build()
    health = built.docker_healthcheck()
    image = (
        dag.container()
        .with_env_variable("A", "1 2")
        .with_label("b", "c")
        .with_exposed_port(80, protocol=dagger.NetworkProtocol.TCP)
        .with_user("7")
        .with_workdir("/d")
        .with_docker_healthcheck(
            await health.args(), shell=await health.shell(), interval=await health.interval(), retries=2
        )
    )
    for each in (built, image):
        variables = {await variable.name(): await variable.value() for variable in await each.env_variables()}
        assert variables["A"] == "1 2"
        assert ("b", "c") in [(await label.name(), await label.value()) for label in await each.labels()]
        assert [await port.port() for port in await each.exposed_ports()] == [80]
        assert (await each.user(), await each.workdir()) == ("7", "/d")
        found = each.docker_healthcheck()
        assert (await found.args(), await found.shell(), await found.retries()) == (["/x", "y"], False, 2)
