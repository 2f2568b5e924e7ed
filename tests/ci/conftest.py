from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio alone, which is what the SDK runs on."""
    return "asyncio"
