"""Many publications and many tags at once: nothing is lost, and what they use is bounded."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.concurrency import each
from pipeline.registry.client import open_registry
from pipeline.rules.image_name import ImageName
from tests.pipeline.images import MANIFEST, Image
from tests.pipeline.servers import Answer, Asked, Server, proxy
from tests.registry_fixtures import RunningRegistry

pytestmark = pytest.mark.registry

MOST_BYTES = 200 * 1024**2
MOST_CONNECTIONS = 8


@contextmanager
def counting(url: str) -> Iterator[tuple[Server, Counter[str]]]:
    """Stand in front of a registry, and count for each repository the most requests that were open at once."""
    lock, running, most = threading.Lock(), Counter[str](), Counter[str]()
    with proxy(url) as front:
        passing_on = front.handler

        def counted(request: Asked) -> Answer:
            repository = "/".join(request.path.split("/")[2:4])
            with lock:
                running[repository] += 1
                most[repository] = max(most[repository], running[repository])
            try:
                return passing_on(request)
            finally:
                with lock:
                    running[repository] -= 1

        front.handler = counted
        yield front, most


def test_fifty_publications_at_once_all_end(registry: RunningRegistry) -> None:
    with counting(registry.url) as (front, most):
        command = [sys.executable, "-m", "tests.pipeline.many_runs", front.host, registry.url, "50"]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True, timeout=300
        )
    answer = json.loads(done.stdout)
    assert len(answer["digests"]) == 50
    with registry.client() as client:
        for name, digest in answer["digests"].items():
            for tag in ("sha-9c68c4a", "v1.2.3", "latest"):
                found = client.head(f"/v2/many/{name}/manifests/{tag}", headers={"Accept": MANIFEST})
                assert found.headers["Docker-Content-Digest"] == digest
    assert answer["bytes"] < MOST_BYTES
    assert max(most[f"many/{name}"] for name in answer["digests"]) <= MOST_CONNECTIONS


async def test_two_hundred_tags_are_written_over_a_few_connections(registry: RunningRegistry) -> None:
    tags = [f"v1.0.{number}" for number in range(200)]
    with registry.client() as client:
        Image({}).push(client, "many/tags", "first")
    with counting(registry.url) as (front, most):
        async with open_registry(ImageName(registry=front.host, repository="many/tags"), None) as opened:
            manifest = await opened.manifest("first")
            assert manifest is not None

            async def write(tag: str) -> None:
                await opened.put_tag(tag, manifest)

            await each(tags, write, at_once=200)
            assert sorted(await opened.tags()) == sorted(["first", *tags])
    assert 1 < most["many/tags"] <= MOST_CONNECTIONS
