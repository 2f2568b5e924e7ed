from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.stapled import MultiListener

from ci.dockerfile.base_images import base_images, parse_base_image
from ci.local.base_image_mirrors import hub_mirror
from ci.local_registry import seeding
from ci.local_registry.debian import DebianBase, debian_base
from ci.local_registry.locks import exclusive_lock
from ci.local_registry.seeding import seed
from ci.local_registry.settings import RegistrySettings
from pipeline.rules.errors import EngineError, RegistryError
from tests.ci.mmdebstrap import Calls, calls
from tests.registry_fixtures import RunningRegistry, free_port

__all__ = ["calls"]

DEBIAN = base_images("FROM debian:bookworm-slim\n")


def _unheard(_: str) -> None:
    return


def _nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


def _port(listener: MultiListener[SocketStream]) -> int:
    port: int = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django here
    return port


def _manifest(registry: RunningRegistry, name: str = "docker.io/library/debian") -> httpx.Response:
    with registry.client() as client:
        accept = "application/vnd.oci.image.manifest.v1+json"
        return client.get(f"/v2/{name}/manifests/bookworm-slim", headers={"Accept": accept})


@pytest.mark.registry
async def test_a_missing_base_is_made_once_when_the_hub_is_silent(registry: RunningRegistry, calls: Calls) -> None:
    told: list[str] = []
    for _ in range(2):
        await seed(DEBIAN, registry.settings, notice=told.append, hub_url=_nowhere())
    assert calls.count() == 1
    assert len(told) == 2
    manifest = _manifest(registry).json()
    with registry.client() as client:
        layer = client.get(f"/v2/docker.io/library/debian/blobs/{manifest['layers'][0]['digest']}").content
        config = client.get(f"/v2/docker.io/library/debian/blobs/{manifest['config']['digest']}").json()
    assert (config["config"]["Cmd"], config["created"]) == (["bash"], "2023-06-10T00:00:00Z")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as tar:
        assert "./hello" in tar.getnames()
    assert not (registry.settings.folder / "seeding").exists()


@pytest.mark.registry
async def test_callers_at_once_make_a_base_once(registry: RunningRegistry, calls: Calls) -> None:
    told: list[str] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(lambda: seed(DEBIAN, registry.settings, notice=told.append, hub_url=_nowhere()))
    assert calls.count() == 1
    assert sum("Waiting" in line for line in told) == 2


@pytest.mark.registry
async def test_nothing_is_made_while_the_hub_answers(
    registry: RunningRegistry, registry_with_auth: RunningRegistry, calls: Calls
) -> None:
    for hub in (registry, registry_with_auth):
        await seed(DEBIAN, registry.settings, notice=pytest.fail, hub_url=hub.url)
    assert calls.count() == 0


@pytest.mark.registry
async def test_a_hub_that_never_answers_costs_three_seconds_at_most(registry: RunningRegistry, calls: Calls) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
        port = _port(silent)
        with anyio.fail_after(60):  # which only a hang takes
            await seed(DEBIAN, registry.settings, notice=_unheard, hub_url=f"http://127.0.0.1:{port}")
    assert calls.count() == 1
    assert seeding._HUB_SECONDS < 3


@pytest.mark.registry
async def test_a_web_page_does_not_count_as_the_hub(registry: RunningRegistry, calls: Calls) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as portal, anyio.create_task_group() as tasks:

        async def log_in_first(stream: SocketStream) -> None:
            async with stream:
                await stream.receive()
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        tasks.start_soon(portal.serve, log_in_first)
        port = _port(portal)
        await seed(DEBIAN, registry.settings, notice=_unheard, hub_url=f"http://127.0.0.1:{port}")
        tasks.cancel_scope.cancel()
    assert calls.count() == 1


@pytest.mark.registry
async def test_a_registry_that_requires_a_password_is_not_seeded(
    registry_with_auth: RunningRegistry, calls: Calls
) -> None:
    with pytest.raises(RegistryError, match="401"):
        await seed(DEBIAN, registry_with_auth.settings, notice=_unheard, hub_url=_nowhere())
    assert calls.count() == 0


@pytest.mark.registry
async def test_the_same_packages_give_the_same_image(
    registry: RunningRegistry, shared_registry: RunningRegistry, calls: Calls
) -> None:
    for each in (registry, shared_registry):
        await seed(DEBIAN, each.settings, notice=_unheard, hub_url=_nowhere())
    assert calls.count() == 2
    assert (
        _manifest(registry).headers["Docker-Content-Digest"]
        == _manifest(shared_registry).headers["Docker-Content-Digest"]
    )


@pytest.mark.registry
async def test_a_failure_of_the_push_quotes_skopeo_and_leaves_nothing(registry: RunningRegistry, calls: Calls) -> None:
    skopeo = calls.folder / "skopeo"
    skopeo.write_text("#!/bin/sh\necho first >&2\necho no space left on device >&2\nexit 1\n")
    skopeo.chmod(0o755)
    with pytest.raises(RegistryError, match="debian:bookworm-slim to the local registry: no space left on device"):
        await seed(DEBIAN, registry.settings, notice=_unheard, hub_url=_nowhere())
    assert _manifest(registry).status_code == 404
    assert not (registry.settings.folder / "seeding").exists()


@pytest.mark.registry
@pytest.mark.parametrize(
    "reference",
    ["ruby:3.4-slim", "debian:bookworm-20240612-slim", "debian@sha256:" + "0" * 64, "linkradar/debian:12"],
)
async def test_an_image_that_cannot_be_made_is_named_before_anything_is_done(
    registry: RunningRegistry, calls: Calls, reference: str
) -> None:
    images = [*DEBIAN, *base_images(f"FROM {reference}\n")]
    with pytest.raises(EngineError, match=f"(?s){reference} is not available.*skopeo copy"):
        await seed(images, registry.settings, notice=_unheard, hub_url=_nowhere())
    assert calls.count() == 0


@pytest.mark.registry
async def test_images_of_other_registries_are_left_to_them(registry: RunningRegistry) -> None:
    images = base_images("FROM ghcr.io/linkradar/base:1\n")
    await seed(images, registry.settings, notice=pytest.fail, hub_url=_nowhere())
    assert registry.requests() == []


@pytest.mark.registry
async def test_a_failure_of_mmdebstrap_tells_its_last_lines_and_leaves_nothing(
    registry: RunningRegistry, calls: Calls
) -> None:
    calls.replace("echo E: no such suite >&2\nexit 25")
    with pytest.raises(EngineError, match="E: no such suite"):
        await seed(DEBIAN, registry.settings, notice=_unheard, hub_url=_nowhere())
    assert _manifest(registry).status_code == 404
    assert not (registry.settings.folder / "seeding").exists()


async def test_a_registry_that_does_not_run_is_named(tmp_path: Path) -> None:
    settings = RegistrySettings(port=free_port(), folder=tmp_path)
    with pytest.raises(RegistryError, match=r"(?s)does not answer.*registry up"):
        await seed(DEBIAN, settings, notice=_unheard, hub_url=_nowhere())


@pytest.mark.registry
async def test_without_root_user_namespaces_are_used_and_their_lack_is_reported(
    registry: RunningRegistry, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    calls.replace("exit 25")
    with pytest.raises(EngineError, match="/etc/subuid"):
        await seed(DEBIAN, registry.settings, notice=_unheard, hub_url=_nowhere())
    assert "--mode=unshare" in calls.arguments()


@pytest.mark.registry
@pytest.mark.build
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed; `make setup` installs it")
async def test_the_real_mmdebstrap_makes_debian(registry: RunningRegistry) -> None:
    await seed(DEBIAN, registry.settings, notice=_unheard, hub_url=_nowhere())
    manifest = _manifest(registry).json()
    with registry.client() as client:
        repository = "/v2/docker.io/library/debian"
        layer = client.get(f"{repository}/blobs/{manifest['layers'][0]['digest']}").content
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as tar:
        names = set(tar.getnames())
        release = tar.extractfile("./etc/os-release") or tar.extractfile("./usr/lib/os-release")
        assert release is not None
        assert b"VERSION_CODENAME=bookworm" in release.read()
    assert "./usr/bin/apt-get" in names
    assert not {name for name in names if name.startswith("./usr/share/man/")}
    assert len(layer) < 60_000_000


@pytest.mark.parametrize(
    ("reference", "base"),
    [
        ("debian:bookworm-slim", DebianBase("bookworm", slim=True)),
        ("debian:12-slim", DebianBase("bookworm", slim=True)),
        ("debian:bookworm", DebianBase("bookworm", slim=False)),
        ("debian:13", DebianBase("trixie", slim=False)),
        ("debian:bullseye-slim", DebianBase("bullseye", slim=True)),
        ("debian", None),
        ("debian:12.5", None),
        ("debian:slim", None),
        ("ubuntu:24.04", None),
        ("ghcr.io/library/debian:12", None),
    ],
)
def test_debian_is_known_by_name_and_number(reference: str, base: DebianBase | None) -> None:
    image = parse_base_image(reference)
    assert image is not None
    assert debian_base(image) == base


def test_another_processor_is_not_made_here() -> None:
    image = parse_base_image("debian:12", platform="linux/s390x")
    assert image is not None
    assert debian_base(image) is None


def test_the_mirror_entry_leads_to_where_bases_are_seeded() -> None:
    mirror = hub_mirror(RegistrySettings(port=5001))
    assert (mirror.registry, mirror.location) == ("docker.io", "localhost:5001/docker.io")


async def test_a_lock_that_stays_held_is_reported(tmp_path: Path) -> None:
    async with exclusive_lock(tmp_path / "lock", time_limit=1):
        with pytest.raises(EngineError, match="Another process"):
            async with exclusive_lock(tmp_path / "lock", time_limit=0.2):
                pytest.fail("two holders at once")
    async with exclusive_lock(tmp_path / "lock", time_limit=1):
        pass
