from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from pipeline.registry import retry
from tests.pipeline.bench import Bench
from tests.registry_fixtures import RunningRegistry, registry, registry_with_auth

__all__ = ["registry", "registry_with_auth"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio alone, which is what the SDK runs on."""
    return "asyncio"


class Clock:
    """A clock on which a wait between attempts takes its time, although nobody waits.

    Attributes:
        slept: The waits, in seconds.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return anyio.current_time() + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Try again as often as ever, but at once."""
    clock = Clock()
    monkeypatch.setattr(retry, "_now", clock.now)
    monkeypatch.setattr(retry, "_sleep", clock.sleep)
    return clock


@pytest.fixture
def bench(registry: RunningRegistry) -> Bench:
    return Bench(registry, registry.host)
