"""Compares ways to publish the backend, run side by side on this machine.

    .venv/bin/python -m bench.publishing --rounds 5 --tags 8

1. `lr-ci build-and-push` of a commit that is in the registry; with all layers in the engine's store and an empty
   registry; after a change of the code.
2. A further tag by one PUT of the manifest, as the pipeline writes it; by `skopeo copy`; by `Container.publish`.

What is printed are ratios of medians, and how many requests the registry answered. The first run of all builds the
packages, which takes half a minute; it is not counted. Needs what the embedded engine needs: root, buildah, skopeo.
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

from ci.local.dagger_session import open_session
from ci.local.engine_choice import EngineKind
from pipeline.registry.client import open_registry
from pipeline.rules.image_name import ImageName
from tests.acceptance.command import Command
from tests.acceptance.kept_caches import kept_caches
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry, running

_REPOSITORY = "linkradar/lr-backend"


def main() -> None:
    """Run both comparisons and print them."""
    parser = argparse.ArgumentParser(description="Compare ways to publish the backend.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each kind of run is timed")
    parser.add_argument("--tags", type=int, default=8, help="how many further tags each way writes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, kept_caches() as lr_ci:
        workspace = Workspace.with_backend(Path(folder) / "repository")
        compare_runs(lr_ci, workspace, Path(folder), options.rounds)
        compare_tags(lr_ci, workspace, Path(folder), options.tags)


def compare_runs(lr_ci: Command, workspace: Workspace, folder: Path, rounds: int) -> None:
    """Time whole runs of the command."""
    there, warm, changed = "everything is in the registry", "all layers are in the store", "the code changed"
    seconds: dict[str, list[float]] = {there: [], warm: [], changed: []}
    lr_ci.run(workspace.folder, "build").succeeded()
    for number in range(rounds):
        with running(folder / f"registry-{number}") as registry:
            push = ("build-and-push", "--registry", registry.host)
            seconds[warm].append(_timed(lambda: lr_ci.run(workspace.folder, *push).succeeded()))  # noqa: B023 - called at once
            seconds[there].append(_timed(lambda: lr_ci.run(workspace.folder, *push).succeeded()))  # noqa: B023
            workspace.append("backend/app/models/link.rb", f"\n# Round {time.time_ns()}.\n")
            workspace.commit(f"Round {number}")
            seconds[changed].append(_timed(lambda: lr_ci.run(workspace.folder, *push).succeeded()))  # noqa: B023
    _show("lr-ci build-and-push", {name: median(times) for name, times in seconds.items()})


def compare_tags(lr_ci: Command, workspace: Workspace, folder: Path, count: int) -> None:
    """Time further tags of an image that is in the registry."""
    with running(folder / "registry-of-tags") as registry:
        lr_ci.run(workspace.folder, "build-and-push", "--registry", registry.host).succeeded()
        seconds, requests = anyio.run(_tag, lr_ci, registry, count)
    _show(f"a further tag ({count} of each)", seconds, requests)


async def _tag(
    lr_ci: Command, registry: RunningRegistry, count: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    image = ImageName(registry=registry.host, repository=_REPOSITORY)
    os.environ["XDG_CACHE_HOME"] = str(lr_ci.cache)  # where the engine has its store
    seconds: dict[str, list[float]] = {}
    requests: dict[str, list[int]] = {}
    async with open_registry(image, None) as api, open_session(EngineKind.EMBEDDED, lambda _: None):
        manifest = await api.manifest("master")
        if manifest is None:
            msg = "the image is not there"
            raise SystemExit(msg)
        port = dagger.PortForward(backend=registry.settings.port, frontend=registry.settings.port)
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
                before = len(registry.requests())
                begin = time.perf_counter()
                await write(f"{way.lower().replace(' ', '-')}-{number}")
                elapsed = time.perf_counter() - begin
                if number:  # the first of each is for warming up
                    seconds.setdefault(way, []).append(elapsed)
                    requests.setdefault(way, []).append(len(registry.requests()) - before)
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
