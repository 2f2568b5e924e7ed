from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import dagger
import pytest

from ci.system.processes import run_process
from tests.ci.engine.conftest import OpenEngine
from tests.ci.engine.protocol.test_session_process import NOTHING, left

pytestmark = [pytest.mark.engine, pytest.mark.registry]


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder on a file system of 40 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = await run_process(["mount", "-t", "tmpfs", "-o", "size=40m", "small", folder], time_limit=10)
    if mounted.exit_code:
        pytest.skip(f"no small file system can be had here: {mounted.stderr}")
    yield folder
    await run_process(["umount", "--lazy", folder], time_limit=10)


async def test_a_full_disk_is_called_so(open_engine: OpenEngine, base: str, small_disk: Path) -> None:
    fill = "cat /dev/zero > /filled"
    async with open_engine(small_disk) as opened:
        with pytest.raises(dagger.ExecError) as failure:
            await opened.built(f"FROM {base}\nRUN {fill}\n").sync()
        assert "no space left on device" in failure.value.stderr.lower()

        with pytest.raises(dagger.QueryError, match=r"(?i)no space left on device"):
            await opened.dag.container().from_(base).with_exec(["sh", "-c", fill]).sync()
    assert left(small_disk) == NOTHING


async def test_a_store_that_has_no_room_for_the_layer_is_called_so(
    open_engine: OpenEngine, base: str, small_disk: Path
) -> None:
    async with open_engine(small_disk) as opened:
        await opened.dag.container().from_(base).sync()
        source = opened.source({"Dockerfile": f"FROM {base}\nCOPY big /big\n", "big": "x" * 2_000_000})
        await source.sync()
        (small_disk / "ballast").write_bytes(b"x" * (_free(small_disk) - 300_000))

        with pytest.raises(dagger.QueryError, match=r"(?i)no space left on device"):
            await source.docker_build().sync()


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
