"""Fixtures to run workflows: a registry, base images, a server in place of GitHub, and a runner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.conftest import base, lr_ci, port_3000
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.github_api import GitHubApi, running_api
from tests.registry_fixtures import RunningRegistry, registry, registry_with_auth, shared_registry
from tests.workflows.act import REPOSITORY, Act, repository

__all__ = ["base", "lr_ci", "port_3000", "registry", "registry_with_auth", "shared_registry"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and "act" in getattr(item, "fixturenames", ()):
            for name in ("workflows", "engine", "registry"):
                item.add_marker(getattr(pytest.mark, name))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual environment of the workflows."""
    return tmp_path_factory.mktemp("packages") / "venv"


@pytest.fixture
def act(lr_ci: Command, packages: Path, registry: RunningRegistry, tmp_path: Path) -> Act:
    """A runner that publishes to an empty registry, without GitHub's API."""
    folder = tmp_path / "act"
    folder.mkdir()
    return Act(folder, registry.host, lr_ci.cache, packages)


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The repository that called workflows come from."""
    return repository(tmp_path_factory.mktemp("tool") / "tool", dockerfile="FROM scratch\n")


@pytest.fixture
def foreign(act: Act, tool: Workspace) -> Act:
    """A runner for repositories that call the workflows of that repository."""
    return replace(act, tool=tool)


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    """The server in place of GitHub's API."""
    with running_api(GitHubApi(repository=REPOSITORY)) as api:
        yield api


@pytest.fixture
def act_with_github(act: Act, github: GitHubApi) -> Act:
    """A runner with GitHub's API."""
    return replace(act, api=github.url)


@pytest.fixture
def image(registry: RunningRegistry) -> Image:
    """The image that the runs publish."""
    return Image(registry)


@pytest.fixture
def small(base: str, tmp_path: Path) -> Workspace:
    """A repository with the workflows, whose backend builds in a moment."""
    return repository(tmp_path / "repository", dockerfile=f"FROM {base}\nRUN touch /built\n")


@pytest.fixture
def broken(base: str, tmp_path: Path) -> Workspace:
    """A repository with the workflows, whose backend does not build."""
    return repository(tmp_path / "broken", dockerfile=f"FROM {base}\nRUN echo There is no such gem >&2; exit 5\n")
