"""Mounts and containers on a disk that takes no more, and mounts that no record tells of."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from ci.engine.store import buildah as buildah_module
from ci.engine.store.buildah import Buildah
from ci.engine.store.cleanup import sweep, sweep_store
from ci.engine.store.overlay import mounts_below
from ci.engine.store.session_folders import open_session_folders
from ci.engine.store.storage import Storage
from ci.system.locks import shared_lock
from ci.system.processes import run_process
from tests.conftest import require_embedded_engine

pytestmark = pytest.mark.engine


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder, with a space in its name, on a file system of 8 MB."""
    require_embedded_engine()
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = await run_process(["mount", "-t", "tmpfs", "-o", "size=8m", "small", folder], time_limit=10)
    if mounted.exit_code:
        pytest.skip(f"no small file system can be had here: {mounted.stderr}")
    yield folder
    for mount in mounts_below(folder):
        await run_process(["umount", "--lazy", mount], time_limit=10)
    await run_process(["umount", "--lazy", folder], time_limit=10)


@contextmanager
def session(folder: Path) -> Iterator[Buildah]:
    with open_session_folders(folder) as workspace:
        yield Buildah(workspace, Storage.prepare(folder, workspace.own, ()))


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65536)):
                pass
        except OSError:
            return


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


async def test_a_full_disk_leaves_neither_a_mount_nor_what_filled_it(small_disk: Path) -> None:
    with session(small_disk) as buildah:
        async with buildah.container(None) as name:
            async with buildah.root(name) as root:
                await buildah.ask("mount", name)  # as `buildah run` does, and cannot note the end of it
                before = free(small_disk)
                fill(root / "filled")
                assert free(small_disk) == 0
            assert root not in mounts_below(small_disk)

        assert await buildah.ask("containers", "--all", "--json") in {"null", "[]"}
    assert mounts_below(small_disk) == []
    assert free(small_disk) >= before


async def test_a_container_that_was_never_mounted_goes_from_a_full_disk(small_disk: Path) -> None:
    with session(small_disk) as buildah:
        async with buildah.container(None) as name:
            (small_disk / "big").write_bytes(bytes(1_000_000))
            await buildah.ask("copy", "--quiet", name, small_disk / "big", "/big")
            fill(small_disk / "ballast")

        layers = json.loads((small_disk / "store" / "overlay-layers" / "layers.json").read_text())
        assert layers == []


async def test_what_a_dead_session_left_on_a_full_disk_is_swept(small_disk: Path) -> None:
    with session(small_disk) as dead:
        name = dead.folders.unique("c")
        await dead.ask("from", "--pull-never", "--name", name, "scratch")
        root = Path(await dead.ask("mount", name))
        await dead.ask("mount", name)
    with session(small_disk) as buildah:
        await buildah.ask("--version")  # which writes the last of the session's own files
        fill(root / "filled")

        await sweep(buildah)

        assert mounts_below(small_disk) == []
        assert await buildah.ask("containers", "--all", "--json") in {"null", "[]"}


@pytest.mark.parametrize("description", [None, "", '{"type": "buildah 0.0.1", "contai'], ids=["none", "empty", "cut"])
@pytest.mark.parametrize("mounted", [False, True])
async def test_a_container_whose_builder_was_killed_while_it_made_it_is_swept(
    small_disk: Path, description: str | None, *, mounted: bool
) -> None:
    with session(small_disk) as dead:
        # `buildah build` names its containers so.
        await dead.ask("from", "--pull-never", "--name", "base-working-container", "scratch")
        if mounted:
            await dead.ask("mount", "base-working-container")
        (record,) = (dead.storage.graph / "overlay-containers").glob("*/userdata/buildah.json")
        record.unlink() if description is None else record.write_text(description)
        assert (await dead.call("rm", "base-working-container")).exit_code != 0

    await sweep_store(small_disk)

    with session(small_disk) as buildah:
        assert await buildah.ask("containers", "--all", "--json") in {"null", "[]"}
    layers = json.loads((small_disk / "store" / "overlay-layers" / "layers.json").read_text())
    assert layers == []
    assert mounts_below(small_disk) == []


async def test_the_container_of_a_running_build_stays_whatever_its_base_image_is_called(small_disk: Path) -> None:
    with session(small_disk) as alive:
        await alive.ask("from", "--pull-never", "--name", "vitamin-c-base-working-container", "scratch")
        async with shared_lock(alive.storage.builds_lock):
            with session(small_disk) as another:
                await sweep(another)
            assert "vitamin-c-base" in await alive.ask("containers", "--all", "--json")
        await sweep(alive, ending=True)
        assert "vitamin-c-base" not in await alive.ask("containers", "--all", "--json")


async def test_a_store_without_leftovers_is_not_touched(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(small_disk))  # without buildah
    await sweep_store(small_disk)
    assert list(small_disk.iterdir()) == []
    with session(small_disk):
        await sweep_store(small_disk)


async def stray_mount(buildah: Buildah) -> Path:
    """Mount a container of which the store then loses the record."""
    name = buildah.folders.unique("c")
    await buildah.ask("from", "--pull-never", "--name", name, "scratch")
    root = Path(await buildah.ask("mount", name))
    (buildah.storage.graph / "overlay-containers" / "containers.json").write_text("[]")
    return root


async def test_a_mount_that_belongs_to_no_container_is_swept(small_disk: Path) -> None:
    with session(small_disk) as dead:
        root = await stray_mount(dead)
    assert root in mounts_below(small_disk)

    with session(small_disk) as buildah:
        await sweep(buildah)

    assert mounts_below(small_disk) == []


async def test_the_mounts_of_a_living_session_stay(small_disk: Path) -> None:
    with session(small_disk) as alive:
        stray = await stray_mount(alive)
        async with alive.container(None) as name, alive.root(name) as root:
            with session(small_disk) as another:
                await sweep(another)
            (root / "file").write_text("still there")
            assert {stray, root} <= set(mounts_below(small_disk))

        await sweep(alive, ending=True)
    assert mounts_below(small_disk) == []


async def test_a_builder_that_hangs_does_not_hold_the_cleanup(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildah_module, "CLEANUP_SECONDS", 0.2)
    with session(small_disk) as buildah, anyio.fail_after(60):
        async with buildah.container(None) as name:
            # A stand-in: nothing brings buildah to hang on demand.
            tools = small_disk / "tools"
            tools.mkdir()
            (tools / "buildah").write_text("#!/bin/sh\nexec sleep 600\n")
            (tools / "buildah").chmod(0o755)
            monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.undo()

    await sweep_store(small_disk)

    with session(small_disk) as buildah:
        assert name not in await buildah.ask("containers", "--all", "--json")


async def test_an_unmount_that_fails_is_done_by_the_system(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with session(small_disk) as buildah:
        async with buildah.container(None) as name:
            async with buildah.root(name) as root:
                # A stand-in: what else keeps buildah from unmounting cannot be brought about.
                tools = small_disk / "tools"
                tools.mkdir()
                (tools / "buildah").write_text("#!/bin/sh\nexit 125\n")
                (tools / "buildah").chmod(0o755)
                monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
            assert root not in mounts_below(small_disk)
            monkeypatch.undo()
    assert mounts_below(small_disk) == []
