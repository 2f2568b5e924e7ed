from __future__ import annotations

import anyio
import pytest

from ci.engine.events import Event
from ci.local.engine_choice import EngineChoice
from ci.local.engine_session import engine_session
from pipeline.rules.errors import EngineError
from tests.ci.programs import Programs


class Silent:
    """A progress that counts messages and shows none."""

    notices = 0

    def started(self, step: str) -> None: ...

    def finished(self, step: str, seconds: float) -> None: ...

    def notice(self, text: str) -> None:
        del text
        self.notices += 1

    def engine_event(self, event: Event) -> None: ...

    def close(self) -> None: ...


async def test_what_needs_no_engine_opens_none(programs: Programs) -> None:
    del programs
    progress = Silent()
    async with engine_session(EngineChoice.DAGGER, (), progress):
        pass
    assert progress.notices == 0


async def test_every_image_gets_the_error_if_there_is_no_engine(programs: Programs) -> None:
    """One that fails stops no other, and the block goes on."""
    del programs
    seen: list[str] = []
    async with engine_session(EngineChoice.DAGGER, (), Silent()) as session:

        async def use() -> None:
            with pytest.raises(EngineError, match="No Dagger engine is available"):
                await session.open()
            seen.append("no engine")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            tasks.start_soon(use)
        seen.append("continued")
    assert seen == ["no engine", "no engine", "continued"]


async def test_an_error_in_the_block_comes_out_as_it_is(programs: Programs) -> None:
    del programs

    async def fail() -> None:
        async with engine_session(EngineChoice.DAGGER, (), Silent()):
            msg = "a bug"
            raise LookupError(msg)

    with pytest.raises(LookupError, match="a bug"):
        await fail()
