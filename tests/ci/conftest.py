from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci.local.engine_choice import CLI_BIN, RUNNER_HOST
from tests.ci.programs import Programs
from tests.ci.repositories import ENVIRONMENT, Repository, new_repository


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio alone, which is what the SDK runs on."""
    return "asyncio"


@pytest.fixture
def empty_repository(tmp_path: Path, git_alone: None) -> Repository:
    """A repository without a commit."""
    del git_alone
    return new_repository(tmp_path / "checkout")


@pytest.fixture
def repository(empty_repository: Repository) -> Repository:
    """A repository with one commit on `master` and a clean working tree."""
    empty_repository.write("backend/Dockerfile", "FROM scratch\n")
    empty_repository.commit()
    return empty_repository


@pytest.fixture
def git_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the configuration of whoever runs the tests, and the hook they may run in, away from git."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Nothing on PATH but what a test puts there, and no variable that names an engine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("DAGGER_SESSION_PORT", "DAGGER_SESSION_TOKEN", RUNNER_HOST, CLI_BIN):
        monkeypatch.delenv(name, raising=False)
    return Programs(folder)
