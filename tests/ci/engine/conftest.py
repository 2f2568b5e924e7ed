"""Sessions of the embedded engine on stores of their own, with a tiny base image in a real registry."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagger
import pytest
from dagger.client._session import ConnectParams, SingleConnection

from ci.engine.events import Event, Notice, OutputLine, StepFinished
from ci.engine.protocol.server import EngineAddress, embedded_engine
from ci.engine.store.isolation import Isolation
from ci.system.process_identity import boot_id
from tests.base_image import push_base_image
from tests.conftest import require_embedded_engine
from tests.registry_fixtures import RunningRegistry, registry_with_auth, shared_registry

__all__ = ["registry_with_auth", "shared_registry"]


@dataclass
class Opened:
    """An open session.

    Attributes:
        dag: Its client.
        address: How to reach it.
        folder: The engine's folder.
        sources: Where the directories are made that it reads.
        events: What it told.
    """

    dag: dagger.Client
    address: EngineAddress
    folder: Path
    sources: Path
    events: list[Event] = field(default_factory=list)

    def source(self, files: Mapping[str, str]) -> dagger.Directory:
        """Return a directory with these files, by their paths."""
        folder = Path(tempfile.mkdtemp(dir=self.sources))
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
        return self.dag.host().directory(str(folder))

    def built(self, dockerfile: str) -> dagger.Container:
        """Return what a Dockerfile alone makes."""
        return self.source({"Dockerfile": dockerfile}).docker_build()

    def finished(self, start: str) -> list[StepFinished]:
        return [event for event in self.events if isinstance(event, StepFinished) and event.label.startswith(start)]

    def told(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, OutputLine | Notice))


OpenEngine = Callable[..., AbstractAsyncContextManager[Opened]]


def force_chroot(folder: Path) -> None:
    """Make an engine's folder say that runc was found not to work here."""
    done = subprocess.run(["buildah", "--version"], capture_output=True, text=True, check=True)
    run = folder / f"run-{boot_id()[:8]}"
    run.mkdir(parents=True)
    stamp = {"boot": boot_id(), "buildah": done.stdout.strip()}
    finding = {"isolation": Isolation.CHROOT, "reason": "a test", "stamp": stamp}
    (run / "isolation.json").write_text(json.dumps(finding))


@pytest.fixture(scope="session")
def base(shared_registry: RunningRegistry) -> str:
    """The name of an image with a shell."""
    require_embedded_engine()
    push_base_image(shared_registry.url, "base", "latest")
    return f"{shared_registry.host}/base:latest"


@pytest.fixture(scope="session")
def warm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine's folder that tests share, so that the base image is fetched once."""
    require_embedded_engine()
    return tmp_path_factory.mktemp("engine")


@pytest.fixture
def open_engine(warm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> OpenEngine:
    """Opens a session, on the shared folder unless another is named."""

    @asynccontextmanager
    async def opened(folder: Path | None = None) -> AsyncIterator[Opened]:
        events: list[Event] = []
        where = folder or warm_folder
        async with embedded_engine(folder=where, observer=events.append) as address:
            parameters = ConnectParams(port=address.port, session_token=address.token)
            async with SingleConnection(parameters) as connection:
                yield Opened(
                    dagger.Client.from_connection(connection),
                    address,
                    where,
                    tmp_path_factory.mktemp("sources"),
                    events,
                )

    return opened


@pytest.fixture
async def engine(open_engine: OpenEngine) -> AsyncIterator[Opened]:
    """An open session."""
    async with open_engine() as opened:
        yield opened
