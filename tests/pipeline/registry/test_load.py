"""Many publications and many tags at once: nothing is lost, and what they use is bounded."""

from __future__ import annotations

import threading
import tracemalloc

import pytest

from pipeline.concurrency import each
from pipeline.registry.client import open_registry
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import plan_run
from pipeline.rules.shared_options import RunRequest
from pipeline.run import RegistryAccess, publish_run
from tests.pipeline.bench import Heard
from tests.pipeline.images import MANIFEST, Builder, Image
from tests.pipeline.samples import Order, checkout
from tests.pipeline.servers import Answer, Asked, proxy
from tests.registry_fixtures import RunningRegistry

pytestmark = pytest.mark.registry

MOST_BYTES = 200 * 1024**2


async def test_fifty_publications_at_once_all_end(registry: RunningRegistry) -> None:
    digests: dict[str, str] = {}

    async def publish(name: str) -> None:
        request = RunRequest(registry=registry.host, owner="many", name=name, ref="refs/tags/v1.2.3")
        plan = plan_run(request, checkout())
        report = await publish_run(plan, Builder(plan, registry.url), RegistryAccess(), Order(), Heard())
        digests[name] = report.digest

    names = [f"image-{number}" for number in range(50)]
    tracemalloc.start()
    try:
        await each(names, publish, at_once=50)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert sorted(digests) == sorted(names)
    with registry.client() as client:
        for name, digest in digests.items():
            for tag in ("sha-9c68c4a", "v1.2.3", "latest"):
                found = client.head(f"/v2/many/{name}/manifests/{tag}", headers={"Accept": MANIFEST})
                assert found.headers["Docker-Content-Digest"] == digest


async def test_two_hundred_tags_are_written_over_a_few_connections(registry: RunningRegistry) -> None:
    tags = [f"v1.0.{number}" for number in range(200)]
    image = Image({})
    with registry.client() as client:
        image.push(client, "many/tags", "first")
    lock, running, most = threading.Lock(), 0, 0

    with proxy(registry.url) as front:
        passing_on = front.handler

        def counted(request: Asked) -> Answer:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            try:
                return passing_on(request)
            finally:
                with lock:
                    running -= 1

        front.handler = counted
        async with open_registry(ImageName(registry=front.host, repository="many/tags"), None) as opened:
            manifest = await opened.manifest("first")
            assert manifest is not None

            async def write(tag: str) -> None:
                await opened.put_tag(tag, manifest)

            await each(tags, write, at_once=200)
            assert sorted(await opened.tags()) == sorted(["first", *tags])
    assert most <= 8
