"""The first command of the README, in a fresh clone."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.local_registry.settings import RegistrySettings
from tests.acceptance.command import ROOT, Command

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\n")


@dataclass(frozen=True)
class Clone:
    """A fresh clone of this repository.

    Attributes:
        folder: Where it is.
        environment: What `make` is run with.
    """

    folder: Path
    environment: dict[str, str]

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        command = ["make", target]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )


@pytest.fixture
def clone(lr_ci: Command, tmp_path: Path) -> Iterator[Clone]:
    """A clone of what is committed, with the caches of the tests; what it publishes is removed again."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--local", ROOT, folder], check=True, timeout=60)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", "-B", "trunk"], check=True, timeout=60)
    state = json.loads(lr_ci.run(folder, "registry", "status", "--json").succeeded().stdout)
    owner = f"acceptance-{secrets.token_hex(4)}"
    variables = {
        "REGISTRY": state["host"],
        "OWNER": owner,
        "UV_CACHE_DIR": _uv_cache(),
        "PATH": _path_with_uv(tmp_path),
    }
    environment = lr_ci.with_variables(**variables).environment
    del environment["PYTHONPYCACHEPREFIX"]  # this one's Python code is thrown away with the clone
    yield Clone(folder, environment)
    data = RegistrySettings(folder=lr_ci.cache / "backend-pipeline" / "registry").data_folder
    shutil.rmtree(data / "docker" / "registry" / "v2" / "repositories" / owner, ignore_errors=True)


def test_make_publishes_a_fresh_clone_and_the_second_time_builds_nothing(clone: Clone) -> None:
    first = clone.make("build-and-push")

    assert first.returncode == 0, first.stderr
    assert _DIGEST.fullmatch(first.stdout)
    assert "setup: ready" in first.stderr
    assert "trunk" in first.stderr

    second = clone.make("build-and-push")

    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert "Engine:" not in second.stderr
    assert "setup:" not in second.stderr


def _uv_cache() -> str:
    return os.environ.get("UV_CACHE_DIR") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    )


def _path_with_uv(folder: Path) -> str:
    """Return a PATH on which the uv of this checkout is found, where it has one, so that none is installed anew."""
    (folder / "bin").mkdir()
    if (own := ROOT / ".venv" / "bin" / "uv").exists():
        (folder / "bin" / "uv").symlink_to(own.resolve())
    return f"{folder / 'bin'}:{os.environ['PATH']}"
