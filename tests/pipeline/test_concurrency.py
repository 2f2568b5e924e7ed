from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from pipeline.concurrency import each, first_error


async def test_the_action_runs_on_every_item() -> None:
    seen: list[int] = []

    async def note(item: int) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(item)

    await each(range(50), note)
    assert sorted(seen) == list(range(50))


async def test_nothing_to_do_is_done_at_once() -> None:
    async def never(_: int) -> None:
        pytest.fail("there is no item")

    await each([], never)


async def test_no_more_than_the_bound_run_at_once() -> None:
    running, most = 0, 0

    async def count(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.002)
        running -= 1

    await each(range(20), count, at_once=3)
    assert most == 3


async def test_the_error_of_an_action_comes_out_as_itself_and_stops_the_others() -> None:
    finished: list[int] = []

    async def work(item: int) -> None:
        if item == 0:
            msg = "broken"
            raise LookupError(msg)
        await anyio.sleep(10)
        finished.append(item)

    with anyio.fail_after(60):
        with pytest.raises(LookupError, match=r"^broken$"):
            await each(range(4), work)
    assert finished == []


async def test_being_cancelled_from_outside_is_not_an_error() -> None:
    with anyio.move_on_after(0.01) as scope:
        await each([10.0, 10.0], anyio.sleep)
    assert scope.cancelled_caught


def test_the_first_error_is_found_however_deep_it_stands() -> None:
    inner = ValueError("inner")
    group = BaseExceptionGroup("a", [BaseExceptionGroup("b", [inner, KeyError()]), TypeError()])
    assert first_error(group) is inner
