from __future__ import annotations

import pytest

from pipeline.registry import retry
from tests.registry_fixtures import registry, registry_with_auth

__all__ = ["registry", "registry_with_auth"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio alone, which is what the SDK runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again as often as ever, but at once."""
    monkeypatch.setattr(retry, "_WAITS", tuple(0.0 for _ in retry._WAITS))
