from __future__ import annotations

import pytest

from tests.pipeline.socket_races import Held, race, races_over_a_socket
from tests.registry_fixtures import RunningRegistry

pytestmark = pytest.mark.registry


@pytest.mark.parametrize(
    "kinds",
    [("branch", "release"), ("newer", "older"), ("next release", "release")],
    ids=", ".join,
)
async def test_runs_that_are_held_at_any_request_keep_every_promise(
    registry: RunningRegistry, kinds: tuple[str, str]
) -> None:
    found = await races_over_a_socket(registry, kinds, every=6)
    assert len(found) >= 9
    assert [(one.first.step, one.second.step, one.broken) for one in found if one.broken and not one.late] == []


async def test_a_run_that_is_held_stands_still_until_it_may_go_on(registry: RunningRegistry) -> None:
    """Without that, the races would be none."""
    found = await race(registry, Held("branch", 0), Held("release", 99))
    assert (found.first.was_held, found.second.was_held) == (True, False)
    assert found.broken == []
