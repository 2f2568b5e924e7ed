from __future__ import annotations

import anyio
import pytest

from pipeline.registry import retry
from pipeline.registry.retry import RetryPolicy, time_left
from pipeline.rules.errors import AuthError, RegistryError, TransientError, UsageError
from tests.pipeline.conftest import Clock


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


def _for_ever(error: Exception) -> Failing:
    return Failing(*[error] * 1000)


async def test_what_succeeds_is_run_once(clock: Clock) -> None:
    action = Failing()
    assert await RetryPolicy().run(action) == "done"
    assert (action.attempts, clock.slept) == (1, [])


async def test_what_passes_is_tried_again_after_growing_waits(clock: Clock) -> None:
    assert await RetryPolicy().run(Failing(*[TransientError("x") for _ in range(8)])) == "done"
    for wait, most in zip(clock.slept, (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0), strict=True):
        assert most / 2 <= wait <= most


async def test_waits_are_not_alike_in_two_runs(clock: Clock) -> None:
    for _ in range(20):
        await RetryPolicy().run(Failing(TransientError("x")))
    assert len(set(clock.slept)) > 1


async def test_each_wait_is_announced() -> None:
    notices: list[str] = []
    errors = [TransientError("ghcr.io answered HTTP 503 for x.", after=after) for after in (4, 0)]
    await RetryPolicy(notice=notices.append).run(Failing(*errors))
    assert notices[0] == "ghcr.io answered HTTP 503 for x; trying again in 4 s (attempt 2)"
    assert notices[1].endswith(" s (attempt 3)")


@pytest.mark.parametrize("seconds", [1, 10, 120])
async def test_what_does_not_pass_ends_in_time_after_a_few_attempts(clock: Clock, seconds: int) -> None:
    action = _for_ever(TransientError("It broke.", hint="Mend it."))
    with pytest.raises(TransientError, match=r"^It broke\. Tried \d+ times in \d+ s\.\nMend it\.$"):
        await RetryPolicy(seconds).run(action)
    assert sum(clock.slept) <= seconds
    assert action.attempts <= 20


async def test_an_attempt_that_the_limit_cuts_off_does_not_hide_why_the_ones_before_failed(clock: Clock) -> None:
    failing = Failing(*map(TransientError, ("ghcr.io answered HTTP 500 for x.", "It did not answer in time.")))

    async def action() -> str:
        if failing.attempts:
            clock.slept.append(time_left())
        return await failing()

    with pytest.raises(TransientError, match=r"^ghcr\.io answered HTTP 500 for x\. Tried 2 times in 120 s\.$"):
        await RetryPolicy().run(action)


async def test_any_other_error_comes_out_at_once(clock: Clock) -> None:
    action = Failing(AuthError("no"))
    with pytest.raises(AuthError):
        await RetryPolicy().run(action)
    assert (action.attempts, clock.slept) == (1, [])


async def test_a_wait_that_is_requested_is_kept(clock: Clock) -> None:
    await RetryPolicy().run(Failing(TransientError("x", after=60)))
    assert clock.slept == [60]


async def test_a_wait_beyond_the_limit_is_an_error_at_once(clock: Clock) -> None:
    with pytest.raises(TransientError, match=r"^x\. It requests a wait of 3600 s, but 120 s .* are left\.$"):
        await RetryPolicy().run(Failing(TransientError("x.", after=3600)))
    assert clock.slept == []


async def test_an_attempt_that_takes_longer_than_the_limit_is_the_last(clock: Clock) -> None:
    async def slow() -> None:
        clock.slept.append(200)
        msg = "x."
        raise TransientError(msg)

    with pytest.raises(TransientError, match=r"^x\.$"):
        await RetryPolicy().run(slow)


async def test_what_should_pass_soon_is_not_tried_for_the_whole_time(clock: Clock) -> None:
    with pytest.raises(TransientError):
        await RetryPolicy().run(_for_ever(TransientError("x", within=10)))
    assert 4 < sum(clock.slept) <= 10


@pytest.mark.parametrize("seconds", [0, -1, 0.5, float("nan")])
def test_an_invalid_limit_is_a_usage_error(seconds: float) -> None:
    with pytest.raises(UsageError, match="--timeout"):
        RetryPolicy(seconds)


async def test_an_operation_inside_another_is_run_once_and_the_outermost_is_repeated() -> None:
    retries = RetryPolicy()
    checks, write = Failing(), Failing(TransientError("x"), TransientError("y"))

    async def check_and_write() -> str:
        await retries.run(checks)
        return await retries.run(write)

    assert await retries.run(check_and_write) == "done"
    assert (checks.attempts, write.attempts) == (3, 3)


async def test_the_time_that_is_left_is_that_of_the_outermost_operation() -> None:
    retries = RetryPolicy(100)
    left: list[float] = []

    async def operation() -> None:
        await retries.run(inner)
        if len(left) == 1:
            msg = "x"
            raise TransientError(msg, after=30)

    async def inner() -> None:
        left.append(time_left())

    assert time_left() == float("inf")
    await retries.run(operation)
    assert time_left() == float("inf")
    assert 99 < left[0] <= 100
    assert 69 < left[1] <= 70


async def test_a_transfer_that_fails_late_is_tried_again(clock: Clock) -> None:
    """Its clock starts with the first failure: a large image takes longer than any request."""
    action = Failing(TransientError("x"))

    async def transfer() -> str:
        clock.slept.append(1000)
        return await action()

    assert await RetryPolicy().transfer("ghcr.io/acme/app:x", transfer) == "done"
    assert action.attempts == 2


async def test_a_transfer_that_fails_for_ever_ends_in_time(clock: Clock) -> None:
    with pytest.raises(TransientError, match="Tried"):
        await RetryPolicy().transfer("ghcr.io/acme/app:x", _for_ever(TransientError("x.")))
    assert sum(clock.slept) <= 120


async def test_a_transfer_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_TRANSFER", 0.01)
    with pytest.raises(RegistryError, match="was not transferred within") as caught:
        await RetryPolicy(1).transfer("ghcr.io/acme/app:x", anyio.sleep_forever)
    assert "--timeout" in caught.value.hint
