from __future__ import annotations

from pathlib import Path

import dagger
import pytest
from dagger.client._session import ConnectParams, SingleConnection

from ci.engine.protocol.server import embedded_engine

pytestmark = pytest.mark.engine


async def read(workdir: Path, folder: Path, *paths: str) -> list[str]:
    """Return the address of the workspace of a working directory, and what is in files of it."""
    async with embedded_engine(folder=folder, workdir=workdir) as address:
        parameters = ConnectParams(port=address.port, session_token=address.token)
        async with SingleConnection(parameters) as connection:
            workspace = dagger.Client.from_connection(connection).current_workspace()
            return [await workspace.address(), *[await workspace.file(path).contents() for path in paths]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "repository"
    (top / "services/api").mkdir(parents=True)
    (top / "name").write_text("top")
    (top / "services/name").write_text("services")
    (top / "services/api/name").write_text("api")
    (tmp_path / "name").write_text("outside")
    return top


@pytest.mark.parametrize("git", ["folder", "file"])
async def test_paths_start_at_the_top_or_at_the_working_directory(
    repository: Path, warm_folder: Path, git: str
) -> None:
    (repository / ".git").mkdir() if git == "folder" else (repository / ".git").touch()
    workdir = repository / "services"

    address, *found = await read(workdir, warm_folder, "/name", "name", "api/name", "../name", "../../../name")

    assert address == workdir.as_uri()
    assert found == ["top", "services", "api", "top", "top"]


async def test_outside_of_a_repository_the_working_directory_is_the_top(repository: Path, warm_folder: Path) -> None:
    assert await read(repository / "services", warm_folder, "/name", "name") == [
        (repository / "services").as_uri(),
        "services",
        "services",
    ]
