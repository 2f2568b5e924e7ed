"""The fixtures of the acceptance tests: caches, repositories, and one publication that many tests look at."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.local_registry.settings import RegistrySettings
from tests.acceptance.command import KEPT, Command, Ended
from tests.acceptance.kept_caches import kept_caches
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.access_log import Request
from tests.base_image import push_base_image
from tests.conftest import require_embedded_engine
from tests.registry_fixtures import (
    RunningRegistry,
    registry,
    registry_with_auth,
    running,
    shared_registry,
)

__all__ = ["registry", "registry_with_auth", "shared_registry"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.registry)
            if "lr_ci" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.build)


@dataclass(frozen=True)
class Publication:
    """The backend, published twice from one commit of the branch master.

    Attributes:
        workspace: The repository.
        image: The image.
        first: The first run, which built.
        first_requests: What it asked the registry.
        second: The second run, with --json.
        second_requests: What that one asked.
    """

    workspace: Workspace
    image: Image
    first: Ended
    first_requests: list[Request]
    second: Ended
    second_requests: list[Request]

    @property
    def digest(self) -> str:
        return self.first.stdout.strip()


@pytest.fixture(scope="session")
def lr_ci() -> Iterator[Command]:
    """`lr-ci` with a cache that is kept from one test session to the next, so that packages are installed once."""
    require_embedded_engine()
    with kept_caches() as command:
        yield command


@pytest.fixture
def port_3000() -> Iterator[None]:
    """Keep the backend's port for one test at a time."""
    with held_port(3000):
        yield


@contextmanager
def held_port(port: int) -> Iterator[None]:
    """Keep a port for one test at a time: containers of the embedded engine share the host's network."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"port-{port}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def own_lr_ci(tmp_path: Path) -> Command:
    """`lr-ci` with an empty cache, so that all that is found there is the test's own."""
    require_embedded_engine()
    return Command(tmp_path / "cache")


@pytest.fixture(scope="session")
def small_lr_ci(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """`lr-ci` for builds that take no time, with a cache that is thrown away with the test session."""
    require_embedded_engine()
    return Command(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def base(shared_registry: RunningRegistry) -> str:
    """A small image with a shell and the usual tools, which no cache and no Docker Hub is needed for."""
    push_base_image(shared_registry.url, "base/small", "1")
    return f"{shared_registry.host}/base/small:1"


@pytest.fixture(scope="session")
def publication(lr_ci: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publication]:
    """The one expensive thing. It is only to be looked at: `workspace` and `published` are for what writes."""
    folder = tmp_path_factory.mktemp("publication")
    workspace = Workspace.with_backend(folder / "repository")
    with running(folder / "registry") as started:
        first = lr_ci.run(workspace.folder, "build-and-push", "--registry", started.host).succeeded()
        first_requests = started.requests()
        second = lr_ci.run(workspace.folder, "build-and-push", "--registry", started.host, "--json").succeeded()
        second_requests = started.requests()[len(first_requests) :]
        yield Publication(workspace, Image(started), first, first_requests, second, second_requests)


@pytest.fixture
def workspace(publication: Publication, tmp_path: Path) -> Workspace:
    """A repository of the test's own, at the commit that is published; its packages are built already."""
    return publication.workspace.copy(tmp_path / "repository")


@pytest.fixture
def published(publication: Publication, tmp_path: Path) -> Iterator[Image]:
    """The published image in a registry of the test's own."""
    folder = tmp_path / "published"
    shutil.copytree(publication.image.registry.settings.data_folder, RegistrySettings(folder=folder).data_folder)
    with running(folder) as started:
        yield Image(started)


@pytest.fixture
def small(base: str, tmp_path: Path) -> Workspace:
    """A repository whose backend is built in no time."""
    return Workspace.with_dockerfile(tmp_path / "small", f"FROM {base}\nRUN touch /built\n")
