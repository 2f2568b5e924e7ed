from __future__ import annotations

import pytest

from pipeline.registry import retry
from pipeline.registry.retry import with_retries
from pipeline.rules.errors import AuthError, TransientError


class Failing:
    """Fails some times, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts = 0

    async def __call__(self) -> str:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(retry, "_WAITS", (0.5, 1.0, 2.0))
    monkeypatch.setattr("pipeline.registry.retry.anyio.sleep", sleep)
    return waits


async def test_what_succeeds_is_run_once(slept: list[float]) -> None:
    action = Failing()
    assert await with_retries(action) == "done"
    assert (action.attempts, slept) == (1, [])


async def test_what_passes_is_tried_again_after_growing_waits(slept: list[float]) -> None:
    assert await with_retries(Failing(*[TransientError("x") for _ in range(3)])) == "done"
    for wait, most in zip(slept, (0.5, 1.0, 2.0), strict=True):
        assert most / 2 <= wait <= most


async def test_waits_are_not_alike_in_two_runs(slept: list[float]) -> None:
    for _ in range(20):
        await with_retries(Failing(TransientError("x")))
    assert len(set(slept)) > 1


async def test_what_does_not_pass_is_told_with_the_number_of_attempts(slept: list[float]) -> None:
    action = Failing(*[TransientError("It broke.", hint="Mend it.") for _ in range(9)])
    with pytest.raises(TransientError) as caught:
        await with_retries(action)
    assert str(caught.value) == "It broke. Tried 4 times.\nMend it."
    assert (action.attempts, len(slept)) == (4, 3)


async def test_any_other_error_comes_out_at_once(slept: list[float]) -> None:
    action = Failing(AuthError("no"))
    with pytest.raises(AuthError):
        await with_retries(action)
    assert (action.attempts, slept) == (1, [])


async def test_a_wait_that_is_asked_for_is_kept(slept: list[float]) -> None:
    await with_retries(Failing(TransientError("x", after=12)))
    assert slept == [12]


async def test_a_wait_that_nobody_would_sit_through_is_not(slept: list[float]) -> None:
    with pytest.raises(TransientError, match=r"^x$"):
        await with_retries(Failing(TransientError("x", after=3600)))
    assert slept == []
