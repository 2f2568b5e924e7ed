"""What a benchmark runs on: `lr-ci` with its own caches, a repository and temporary registries."""

from __future__ import annotations

import os
import secrets
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

from ci.local_registry.server import down, up
from ci.local_registry.settings import RegistrySettings

CACHE = platformdirs.user_cache_path("backend-pipeline-bench")
"""Kept from one run to the next, so that packages are installed once; safe to delete."""

_ROOT = Path(__file__).parents[1]
_LR_CI = Path(sys.executable).with_name("lr-ci")
_COMMAND_SECONDS = 900


def lr_ci(folder: Path, *arguments: str) -> None:
    """Run `lr-ci` with the embedded engine in a directory.

    Raises:
        SystemExit: It failed; contains what it wrote.
    """
    env = os.environ | {"XDG_CACHE_HOME": str(CACHE), "LR_CI_ENGINE": "embedded"}
    command = [str(_LR_CI), *arguments]
    ended = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
    )
    if ended.returncode != 0:
        raise SystemExit(ended.stderr)


def clone(folder: Path) -> None:
    """Clone this repository's HEAD as the branch master of LinkRadar's."""
    _git(_ROOT, "clone", "--quiet", "--shared", str(_ROOT), str(folder))
    _git(folder, "switch", "--quiet", "--force-create", "master")
    _git(folder, "remote", "set-url", "origin", "git@github.com:LinkRadar/linkradar.git")


def commit(folder: Path, message: str) -> None:
    """Commit every change."""
    _git(folder, "-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "-qam", message)


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


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, timeout=60)  # noqa: S607 - the git that is found first
