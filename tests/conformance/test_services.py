from __future__ import annotations

import dagger
import pytest

from tests.conformance.conftest import Registry
from tests.registry_fixtures import free_port


async def test_a_host_service_starts_where_something_listens(registry: Registry) -> None:
    await registry.service.start()
    assert (await registry.service.endpoint(scheme="http")).startswith("http://")


async def test_publishing_to_a_service_that_is_not_there_fails(dag: dagger.Client, base: str) -> None:
    port = free_port()
    service = dag.host().service([dagger.PortForward(backend=port, frontend=port)])

    with pytest.raises(dagger.QueryError):
        await dag.container().from_(base).publish(f"localhost:{port}/x:y", registry_service=service)
