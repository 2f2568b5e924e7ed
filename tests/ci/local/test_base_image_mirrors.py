from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from ci.engine.store.storage import Mirror
from ci.local import base_image_mirrors as base_images
from ci.local.base_image_mirrors import prepare_base_images
from ci.local_registry.server import down, status, up
from ci.local_registry.settings import RegistrySettings
from ci.system.folders import base_images_folder
from pipeline.rules.errors import EngineError
from pipeline.rules.image_name import HUB
from tests.base_image import push_base_image
from tests.ci.mmdebstrap import Calls, calls
from tests.registry_fixtures import free_port

__all__ = ["calls"]


class Told(list[str]):
    """Keeps the notices."""

    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
async def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """An empty cache folder, whose registry is stopped in the end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    await down(RegistrySettings())


@pytest.fixture
def own_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port in place of the default one, which may be in use where the tests run."""
    port = free_port()
    monkeypatch.setattr(base_images, "RegistrySettings", lambda port=port: RegistrySettings(port=port))
    return port


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Whether Docker Hub answers: tests cannot switch it on or off, so this one request is replaced."""
    made = Hub()
    monkeypatch.setattr("ci.local_registry.seeding.hub_answers", made.answer)
    return made


class Hub:
    """Stands for Docker Hub: answers or not, and counts how often it is asked."""

    def __init__(self) -> None:
        self.answers = False
        self.asked = 0

    async def answer(self, _url: str = "") -> bool:
        await anyio.lowlevel.checkpoint()
        self.asked += 1
        return self.answers


def dockerfile(folder: Path, text: str) -> Path:
    path = folder / "Dockerfile"
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def something_else_at(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FROM scratch\n",
        "FROM ghcr.io/linkradar/base:1\n",
        "FROM scratch AS one\nFROM one\nCOPY --from=one / /\n",
        "# FROM debian\n",
        "no Dockerfile at all \x00\xff",
    ],
)
async def test_nothing_is_asked_or_started_for_a_build_that_takes_nothing_from_the_hub(
    tmp_path: Path, cache: Path, hub: Hub, text: str
) -> None:
    told = Told()
    assert await prepare_base_images(dockerfile(tmp_path, text), told) == []
    assert (told, hub.asked, cache.exists()) == ([], 0, False)


@pytest.mark.parametrize("kind", ["missing", "folder"])
async def test_a_dockerfile_that_cannot_be_read_is_for_the_builder_to_complain_about(
    tmp_path: Path, cache: Path, hub: Hub, kind: str
) -> None:
    place = tmp_path / "Dockerfile"
    if kind == "folder":
        place.mkdir()
    assert await prepare_base_images(place, Told()) == []
    assert (hub.asked, cache.exists()) == (0, False)


async def test_nothing_is_started_where_the_hub_answers(tmp_path: Path, cache: Path, hub: Hub) -> None:
    hub.answers = True
    told = Told()
    assert await prepare_base_images(dockerfile(tmp_path, "FROM debian:bookworm-slim\n"), told) == []
    assert (told, hub.asked, cache.exists()) == ([], 1, False)


@pytest.mark.registry
@pytest.mark.usefixtures("cache", "hub")
class TestWithALocalRegistry:
    async def test_one_that_runs_is_looked_at_first_on_whatever_port(self, tmp_path: Path, hub: Hub) -> None:
        settings = RegistrySettings(port=free_port())
        await up(settings)
        await anyio.to_thread.run_sync(push_base_image, settings.url, f"{HUB}/library/debian", "bookworm-slim")
        told = Told()
        found = await prepare_base_images(dockerfile(tmp_path, "FROM debian:bookworm-slim\n"), told)
        assert found == [Mirror(HUB, f"{settings.host}/{HUB}")]
        assert (told, hub.asked) == ([], 0)

    async def test_one_that_runs_without_the_image_leaves_it_to_a_hub_that_answers(
        self, tmp_path: Path, hub: Hub
    ) -> None:
        settings = RegistrySettings(port=free_port())
        hub.answers = True
        await up(settings)
        found = await prepare_base_images(dockerfile(tmp_path, "FROM debian:bookworm-slim\n"), Told())
        assert found == [Mirror(HUB, f"{settings.host}/{HUB}")]
        assert (await status(settings)).repositories == 0

    async def test_an_image_that_can_neither_be_pulled_nor_made_is_an_error(
        self, tmp_path: Path, hub: Hub, own_port: int
    ) -> None:
        told = Told()
        with pytest.raises(EngineError, match=r"library/ruby:3\.4-slim is not available") as caught:
            await prepare_base_images(dockerfile(tmp_path, "FROM ruby:3.4-slim\n"), told)
        assert "debian:bookworm-slim" in caught.value.hint
        assert f"localhost:{own_port}" in caught.value.hint
        assert hub.asked
        assert told[0] == "Docker Hub does not answer: base images come from the local registry."

    async def test_another_port_is_taken_where_something_else_has_its_own(self, tmp_path: Path, own_port: int) -> None:
        with something_else_at(own_port), pytest.raises(EngineError, match="is not available"):
            await prepare_base_images(dockerfile(tmp_path, "FROM ruby:3.4-slim\n"), Told())
        running = await status(RegistrySettings())
        assert running.running
        assert running.port != own_port
        assert running.pid is not None

    async def test_a_missing_docker_registry_is_reported_with_a_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        with pytest.raises(EngineError, match="docker-registry is not installed"):
            await prepare_base_images(dockerfile(tmp_path, "FROM debian\n"), Told())

    async def test_one_that_asks_for_a_user_is_left_alone_and_a_second_one_serves(self, tmp_path: Path) -> None:
        passwords = tmp_path / "users"
        passwords.write_text("ada:$2y$05$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK\n", encoding="utf-8")
        settings = RegistrySettings(port=free_port(), htpasswd=passwords)
        await up(settings)
        second = RegistrySettings(folder=base_images_folder())
        try:
            with pytest.raises(
                EngineError, match="debian:latest is not available"
            ):  # and Debian's suites are made there
                await prepare_base_images(dockerfile(tmp_path, "FROM debian\n"), Told())
            found = await status(second)
            assert found.running
            assert not found.asks_for_password
            assert found.port != settings.port
        finally:
            await down(second)


@pytest.mark.registry
@pytest.mark.usefixtures("cache", "hub")
async def test_debian_is_made_here_where_the_hub_is_out_of_reach(tmp_path: Path, own_port: int, calls: Calls) -> None:
    told = Told()
    file = dockerfile(tmp_path, "FROM debian:bookworm-slim\nRUN true\n")
    found = await prepare_base_images(file, told)
    assert found == [Mirror(HUB, f"localhost:{own_port}/{HUB}")]
    assert told[0].startswith("Docker Hub does not answer")
    assert (await status(RegistrySettings())).repositories == 1
    url = f"http://localhost:{own_port}/v2/{HUB}/library/debian/manifests/bookworm-slim"
    async with httpx.AsyncClient(trust_env=False) as client:
        # Without this header the registry hides OCI manifests.
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        assert (await client.head(url, headers=accept)).status_code == 200

    told.clear()
    assert await prepare_base_images(file, told) == found
    assert told == []
    assert calls.count() == 1
