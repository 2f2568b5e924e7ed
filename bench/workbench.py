"""What a benchmark runs on: repositories, registries, and the ways to publish an image that are compared."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import platformdirs

from ci.engine.store.storage import Mirror, registries_conf
from ci.local.base_image_mirrors import prepare_base_images
from ci.local_registry.server import down, up
from ci.local_registry.settings import RegistrySettings

CACHE = platformdirs.user_cache_path("backend-pipeline-bench")
"""Kept from one run to the next, so that packages are installed once; safe to delete."""
LR_CI = Path(sys.executable).with_name("lr-ci")
ROOT = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """Return the variables of `lr-ci` with its own cache and the embedded engine."""
    return os.environ | {"XDG_CACHE_HOME": str(CACHE), "LR_CI_ENGINE": "embedded"}


def clone(folder: Path) -> None:
    """Clone this repository's HEAD as the branch master of LinkRadar's."""
    git(ROOT, "clone", "--quiet", "--shared", str(ROOT), str(folder))
    git(folder, "switch", "--quiet", "--force-create", "master")
    git(folder, "remote", "set-url", "origin", "git@github.com:LinkRadar/linkradar.git")


def repository_of(folder: Path, files: int, size: int) -> None:
    """Create a repository whose image is its files and nothing else.

    Args:
        folder: Where; it must not exist.
        files: How many.
        size: How large each is, in bytes that do not compress.
    """
    context = folder / "backend"
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    for number in range(files):
        place = context / f"{number // 1000:03}"
        place.mkdir(exist_ok=True)
        with (place / f"{number}.bin").open("wb") as file:
            for begin in range(0, size, 1024**2):
                file.write(os.urandom(min(1024**2, size - begin)))
    git(folder, "init", "--quiet", "--initial-branch", "master")
    git(folder, "remote", "add", "origin", "git@github.com:LinkRadar/linkradar.git")
    git(folder, "add", "--all")
    commit(folder, "Files")


def change(folder: Path, path: str) -> None:
    """Commit a change of one file."""
    with (folder / path).open("a", encoding="utf-8") as file:
        file.write(f"\n# {time.time_ns()}\n")
    git(folder, "add", path)
    commit(folder, "Change a file")


def commit(folder: Path, message: str) -> None:
    """Commit what is staged or tracked."""
    git(folder, "-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "-qam", message)


def git(folder: Path, *arguments: str) -> None:
    """Run git in a directory."""
    subprocess.run(["git", "-C", folder, *arguments], check=True, timeout=300)  # noqa: S607 - the first on PATH


@contextmanager
def registry(folder: Path) -> Iterator[RegistrySettings]:
    """Run an empty registry while the block runs; not inside an event loop."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = RegistrySettings(port=port, folder=folder)
    anyio.run(up, settings)
    try:
        yield settings
    finally:
        anyio.run(down, settings)


def count_requests(settings: RegistrySettings) -> int:
    """Return how many lines the registry's access log has, one of them for this question."""
    mark = secrets.token_hex(8)
    httpx.get(f"{settings.url}/v2/?{mark}", trust_env=False)
    while mark not in (log := settings.log_file.read_text(encoding="utf-8")):
        time.sleep(0.005)
    return log.count("\n")


@contextmanager
def base_images(dockerfile: Path) -> Iterator[list[Mirror]]:
    """Make a Dockerfile's base images available in the local registry of the benchmark's cache."""
    os.environ["XDG_CACHE_HOME"] = str(CACHE)
    try:
        yield anyio.run(prepare_base_images, dockerfile, _say)
    finally:
        subprocess.run([LR_CI, "registry", "down"], env=environment(), check=True, capture_output=True, timeout=60)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def forget_layers() -> None:
    """Remove what the embedded engine has built, as on a new machine; base images stay in the local registry."""
    shutil.rmtree(CACHE / "backend-pipeline" / "engine", ignore_errors=True)


def bare_environment(folder: Path, mirrors: list[Mirror], host: str) -> dict[str, str]:
    """Return the variables of a buildah with a store of its own, which pulls and pushes as the engine's does."""
    folder.mkdir(exist_ok=True)
    storage = ["[storage]", 'driver = "overlay"', f'graphroot = "{folder}/graph"', f'runroot = "{folder}/run"']
    (folder / "storage.conf").write_text("\n".join(storage) + "\n", encoding="utf-8")
    (folder / "registries.conf").write_text(registries_conf(mirrors, [host]), encoding="utf-8")
    (folder / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}), encoding="utf-8")
    return os.environ | {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
    }
