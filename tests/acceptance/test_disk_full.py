"""A store without space: what cannot be kept is said, and nothing is published."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.published import writes
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Put a file system of this size where a folder is."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--recursive", folder], check=True, timeout=60)


@pytest.mark.parametrize(
    ("size", "instruction"),
    [
        pytest.param("2m", "RUN true\n", id="the base image"),
        pytest.param("48m", "COPY ballast /\n", id="a copied file"),
        pytest.param("48m", "RUN cat /dev/zero > /ballast\n", id="what a command writes"),
    ],
)
def test_a_full_disk_is_named_and_nothing_is_published(
    own_lr_ci: Command, small: Workspace, registry: RunningRegistry, *, size: str, instruction: str
) -> None:
    small.append("backend/Dockerfile", instruction)
    with (small.folder / "backend" / "ballast").open("wb") as file:
        file.truncate(64_000_000)
    small.commit("Want much space")

    with small_disk(own_lr_ci.engine_folder, size):
        run = own_lr_ci.run(small.folder, "build-and-push", "--registry", registry.host)
        assert f" {own_lr_ci.engine_folder}/" not in Path("/proc/mounts").read_text(encoding="utf-8")

    assert (run.exit_code, run.stdout) == (3, ""), run.stderr
    assert "no space left on device" in run.error.lower()
    assert len(run.error.splitlines()) <= 2, run.error
    assert writes(registry.requests()) == []


def test_a_disk_that_is_full_from_the_start_is_named(
    own_lr_ci: Command, small: Workspace, registry: RunningRegistry
) -> None:
    with small_disk(own_lr_ci.engine_folder, "1m"):
        subprocess.run(["cp", "/dev/zero", own_lr_ci.engine_folder / "ballast"], check=False, stderr=subprocess.DEVNULL)
        run = own_lr_ci.run(small.folder, "build-and-push", "--registry", registry.host)

    assert (run.exit_code, run.stdout) == (5, ""), run.stderr
    assert "cannot be used: no space left on device" in run.error
    assert "Free some space there." in run.error
    assert writes(registry.requests()) == []
