from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import dagger
import pytest
from dagger import dag

from ci.local.dagger_session import open_session
from ci.local.engine_choice import EngineKind
from tests.acceptance.conftest import base
from tests.pipeline.host_files import MakeDirectory
from tests.registry_fixtures import shared_registry

__all__ = ["base", "shared_registry"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
async def directory(
    engine_kind: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeDirectory]:
    """Makes a directory of the host, in an open session."""

    def make(files: Mapping[str, str]) -> dagger.Directory:
        for name, content in files.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        return dag.host().directory(str(tmp_path), include=list(files), no_cache=True)

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    async with open_session(EngineKind(engine_kind), lambda _: None, []):
        yield make
