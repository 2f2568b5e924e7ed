from __future__ import annotations

import anyio
import pytest

from ci.engine.session.single_flight import SingleFlight


async def test_work_that_two_ask_for_at_once_is_done_once() -> None:
    done: list[int] = []

    async def work() -> str:
        await anyio.sleep(0.01)
        done.append(1)
        return "result"

    results: list[object] = []
    async with anyio.create_task_group() as tasks:
        flights = SingleFlight(tasks)

        async def ask() -> None:
            results.append(await flights.do("key", work))

        async with anyio.create_task_group() as askers:
            for _ in range(3):
                askers.start_soon(ask)
        results.append(await flights.do("key", work))

    assert done == [1]
    assert results == ["result"] * 4


async def test_a_failure_reaches_everyone_and_is_not_kept() -> None:
    attempts: list[int] = []

    async def work() -> str:
        attempts.append(1)
        await anyio.sleep(0.01)
        if len(attempts) == 1:
            msg = "first"
            raise ValueError(msg)
        return "second"

    failures: list[str] = []
    async with anyio.create_task_group() as tasks:
        flights = SingleFlight(tasks)

        async def ask() -> None:
            try:
                await flights.do("key", work)
            except ValueError as e:
                failures.append(str(e))

        async with anyio.create_task_group() as askers:
            askers.start_soon(ask)
            askers.start_soon(ask)
        assert failures == ["first", "first"]
        assert await flights.do("key", work) == "second"


async def test_one_who_gives_up_does_not_take_the_work_from_others() -> None:
    async def work() -> str:
        await anyio.sleep(0.05)
        return "result"

    async with anyio.create_task_group() as tasks:
        flights = SingleFlight(tasks)
        async with anyio.create_task_group() as askers:

            async def impatient() -> None:
                with anyio.move_on_after(0.01):
                    await flights.do("key", work)

            askers.start_soon(impatient)
            assert await flights.do("key", work) == "result"


async def test_work_that_nobody_waits_for_is_stopped() -> None:
    stopped = anyio.Event()

    async def work() -> str:
        try:
            await anyio.sleep(60)
        finally:
            stopped.set()
        return "never"

    async with anyio.create_task_group() as tasks:
        flights = SingleFlight(tasks)
        with anyio.move_on_after(0.01):
            await flights.do("key", work)
        with anyio.fail_after(1):
            await stopped.wait()


@pytest.mark.parametrize("key", ["a", "b"])
async def test_other_keys_are_other_work(key: str) -> None:
    async with anyio.create_task_group() as tasks:
        flights = SingleFlight(tasks)

        async def work() -> str:
            return key

        assert await flights.do(key, work) == key
