from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from ci.system.locks import LockTimeoutError, exclusive_lock, shared_lock, try_lock


async def test_one_holder_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most = 0

    async def hold(number: int) -> None:
        nonlocal most
        async with exclusive_lock(tmp_path / "lock"):
            inside.append(number)
            most = max(most, len(inside))
            await anyio.sleep(0.01)
            inside.remove(number)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(hold, number)
    assert most == 1


async def test_a_lock_that_stays_held_is_reported(tmp_path: Path) -> None:
    waits: list[str] = []
    async with exclusive_lock(tmp_path / "lock", time_limit=60, on_wait=lambda: waits.append("never")):
        with pytest.raises(LockTimeoutError, match="Another process has held"):
            async with exclusive_lock(tmp_path / "lock", time_limit=0.2, on_wait=lambda: waits.append("once")):
                pytest.fail("two holders at once")
    async with exclusive_lock(tmp_path / "lock", time_limit=60):
        pass
    assert waits == ["once"]


async def test_many_share_a_lock_that_none_then_has_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with shared_lock(path), shared_lock(path):
        with try_lock(path) as alone:
            assert not alone
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            async with exclusive_lock(path):
                pytest.fail("alone and shared at once")
    with try_lock(path) as alone:
        assert alone
        with try_lock(path) as second:
            assert not second
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            async with shared_lock(path):
                pytest.fail("alone and shared at once")


def test_a_holder_that_dies_holds_no_more(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\nfrom ci.system.locks import try_lock\n"
        "with try_lock(pathlib.Path(sys.argv[1])) as alone:\n    print(alone, flush=True)\n    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "lock")], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (-9, "True\n"), done.stderr
    with try_lock(tmp_path / "lock") as alone:
        assert alone
