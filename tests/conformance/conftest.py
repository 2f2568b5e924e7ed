"""An open connection to the engine that was chosen, and a registry on this machine that it can push to.

Tests here use the Dagger SDK alone, so that they say what both engines have to do.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagger
import pytest
from dagger.client._session import ConnectParams, SingleConnection

from tests.base_image import push_base_image
from tests.registry_fixtures import RunningRegistry, shared_registry

__all__ = ["shared_registry"]

BASE = "debian:bookworm-slim"

MakeDirectory = Callable[[Mapping[str, str]], dagger.Directory]
"""Makes a directory with these files, by their paths."""


@dataclass(frozen=True)
class Registry:
    """A registry, as the engine and as the test reach it.

    Attributes:
        host: What image names begin with.
        url: Where the test asks over HTTP.
        service: What the engine needs to reach it.
    """

    host: str
    url: str
    service: dagger.Service


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.registry)


@pytest.fixture(scope="session")
def base(engine_kind: str, shared_registry: RunningRegistry) -> str:
    """The name of an image with a shell and the usual tools."""
    if engine_kind == "embedded":
        push_base_image(shared_registry.url, "library/debian", "bookworm-slim")
    return BASE


@pytest.fixture(scope="session")
async def dag(
    engine_kind: str, base: str, shared_registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dagger.Client]:
    """The client of an open session."""
    del base
    if engine_kind == "dagger":
        if program := shutil.which("dagger"):
            os.environ.setdefault("_EXPERIMENTAL_DAGGER_CLI_BIN", program)  # the SDK would download one instead
        async with dagger.Connection() as client:
            yield client
        return
    from ci.engine.protocol.server import embedded_engine
    from ci.engine.store.storage import Mirror

    mirror = Mirror("docker.io", shared_registry.host)
    folder = tmp_path_factory.mktemp("engine")
    async with embedded_engine(folder=folder, mirrors=[mirror]) as address:
        parameters = ConnectParams(port=address.port, session_token=address.token)
        async with SingleConnection(parameters) as connection:
            yield dagger.Client.from_connection(connection)


@pytest.fixture
def registry(dag: dagger.Client, shared_registry: RunningRegistry) -> Registry:
    """A registry that lets everyone in."""
    port = int(shared_registry.host.rpartition(":")[2])
    service = dag.host().service([dagger.PortForward(backend=port, frontend=port)])
    return Registry(f"localhost:{port}", shared_registry.url, service)


@pytest.fixture
def directory(dag: dagger.Client, tmp_path: Path) -> MakeDirectory:
    """Makes directories of the host."""

    def make(files: Mapping[str, str]) -> dagger.Directory:
        made = Path(tempfile.mkdtemp(dir=tmp_path))
        for path, content in files.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(content, encoding="utf-8")
        return dag.host().directory(str(made))

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of the host."""
    path = tmp_path / "folder"
    path.mkdir()
    return path
