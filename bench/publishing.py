"""Compares ways to publish the backend, run side by side on one host.

    .venv/bin/python -m bench.publishing --rounds 5 --tags 8

1. `lr-ci build-and-push` of a commit that is in the registry; with all layers in the engine's store and an empty
   registry; after a change of the code.
2. A further tag by one PUT of the manifest, as the pipeline writes it; by `skopeo copy`; by `Container.publish`.

Prints ratios of medians, and how many requests the registry answered. The first run of all installs the packages, which
takes half a minute; it is not counted. Needs root, buildah and skopeo, as the embedded engine does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median

import anyio
import dagger
from dagger import dag

from bench.workbench import CACHE, clone, commit, count_requests, lr_ci, registry
from ci.local.dagger_session import open_session
from ci.local.engine_choice import EngineKind
from ci.local_registry.settings import RegistrySettings
from pipeline.registry.client import open_registry
from pipeline.rules.image_name import ImageName

_REPOSITORY = "linkradar/lr-backend"


def main() -> None:
    """Run both comparisons and print them."""
    parser = argparse.ArgumentParser(description="Compare ways to publish the backend.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each kind of run is timed")
    parser.add_argument("--tags", type=int, default=8, help="how many further tags each way writes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repository = folder / "repository"
        clone(repository)
        try:
            compare_runs(repository, folder, options.rounds)
            compare_tags(repository, folder, options.tags)
        finally:
            lr_ci(folder, "registry", "down")  # the engine starts it for base images


def compare_runs(repository: Path, folder: Path, rounds: int) -> None:
    """Time whole runs of the command."""
    there, warm, changed = "everything is in the registry", "all layers are in the store", "the code changed"
    seconds: dict[str, list[float]] = {there: [], warm: [], changed: []}
    lr_ci(repository, "build")
    for number in range(rounds):
        with registry(folder / f"registry-{number}") as settings:

            def push(host: str = settings.host) -> None:
                lr_ci(repository, "build-and-push", "--registry", host)

            seconds[warm].append(_timed(push))
            seconds[there].append(_timed(push))
            with (repository / "backend/app/models/link.rb").open("a", encoding="utf-8") as code:
                code.write(f"\n# Round {time.time_ns()}.\n")
            commit(repository, f"Round {number}")
            seconds[changed].append(_timed(push))
    _show("lr-ci build-and-push", {name: median(times) for name, times in seconds.items()})


def compare_tags(repository: Path, folder: Path, count: int) -> None:
    """Time further tags of an image that is in the registry."""
    with registry(folder / "registry-of-tags") as settings:
        lr_ci(repository, "build-and-push", "--registry", settings.host)
        seconds, requests = anyio.run(_tag, settings, count)
    _show(f"a further tag ({count} of each)", seconds, requests)


async def _tag(settings: RegistrySettings, count: int) -> tuple[Mapping[str, float], Mapping[str, float]]:
    image = ImageName(registry=settings.host, repository=_REPOSITORY)
    os.environ["XDG_CACHE_HOME"] = str(CACHE)  # the engine's store is below it
    seconds: dict[str, list[float]] = {}
    requests: dict[str, list[int]] = {}
    async with open_registry(image, None) as api, open_session(EngineKind.EMBEDDED, lambda _: None):
        manifest = await api.manifest("master")
        if manifest is None:
            msg = "the image is not there"
            raise SystemExit(msg)
        port = dagger.PortForward(backend=settings.port, frontend=settings.port)
        service = dag.host().service([port])
        container = await dag.container().from_(f"{image}:master", registry_service=service).sync()

        async def put(tag: str) -> None:
            await api.put_tag(tag, manifest)

        async def copy(tag: str) -> None:
            plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
            command = ["skopeo", "copy", "--quiet", *plain, f"docker://{image}:master", f"docker://{image}:{tag}"]
            await anyio.run_process(command, stdout=subprocess.DEVNULL)

        async def publish(tag: str) -> None:
            await container.publish(f"{image}:{tag}", registry_service=service)

        ways: dict[str, Callable[[str], Awaitable[None]]] = {
            "PUT of the manifest": put,
            "skopeo copy": copy,
            "Container.publish": publish,
        }
        for number in range(count + 1):
            for way, write in ways.items():
                before = count_requests(settings)
                begin = time.perf_counter()
                await write(f"{way.lower().replace(' ', '-')}-{number}")
                elapsed = time.perf_counter() - begin
                if number:  # the first of each warms up
                    seconds.setdefault(way, []).append(elapsed)
                    requests.setdefault(way, []).append(count_requests(settings) - before - 1)
    return (
        {way: median(times) for way, times in seconds.items()},
        {way: median(counts) for way, counts in requests.items()},
    )


def _timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _show(title: str, seconds: Mapping[str, float], requests: Mapping[str, float] | None = None) -> None:
    """Print each median, and its ratio to the first one."""
    print(f"\n{title}")
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        asked = "" if requests is None else f"  {requests[name]:>4.0f} requests"
        print(f"  {name:<32} {value / first:>7.1f} x  {value:>8.3f} s{asked}")


if __name__ == "__main__":
    main()
