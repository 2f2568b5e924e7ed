from __future__ import annotations

import pytest

from tests.registry_fixtures import registry, registry_with_auth

__all__ = ["registry", "registry_with_auth"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio alone, which is what the SDK runs on."""
    return "asyncio"
