"""The one policy for retries at a registry: transient failures are tried again within a time limit.

The waits grow, have jitter, and are announced.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import anyio

from pipeline.rules.errors import RegistryError, TransientError, UsageError
from pipeline.rules.shared_options import AccessOptions

T = TypeVar("T")

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 20.0
_TRANSFER = 15
"""How many times as long as another operation a transfer of layers may take in all."""

_now = anyio.current_time
_sleep = anyio.sleep
_deadline: ContextVar[float | None] = ContextVar("deadline of the operation", default=None)


def _show_nothing(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long an operation at a registry is tried.

    Attributes:
        seconds: The time limit of one operation, which includes its retries and the waits between them.
        notice: Called with a message before each wait.

    Raises:
        UsageError: The limit is shorter than a second.
    """

    seconds: float = AccessOptions.timeout
    notice: Callable[[str], None] = _show_nothing

    def __post_init__(self) -> None:
        if not self.seconds >= 1:
            msg = f"invalid --timeout {self.seconds:g}: at least 1 second is required."
            raise UsageError(msg)

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation until it does not raise a `TransientError`, as long as the time limit allows.

        Inside another operation it is run once: the outermost one is repeated as a whole, so that what it checked
        before it failed is checked again.

        Args:
            operation: What to run; it must be safe to run twice.

        Raises:
            TransientError: The time is up, or shorter than the wait that the registry requests.
        """
        if _deadline.get() is not None:
            return await operation()
        begin = _now()
        token = _deadline.set(begin + self.seconds)
        try:
            return await self._repeated(operation, begin)
        finally:
            _deadline.reset(token)

    async def transfer(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        """Run a transfer of layers in the same way, except that its clock starts with its first failure.

        A large image is no failure: only an engine can see that a transfer stalls. Not every engine does, so a transfer
        is stopped in any case after fifteen times the time limit.

        Args:
            what: The reference that is transferred.
            operation: What to run; what has arrived must not be sent again.

        Raises:
            TransientError: The time is up.
            RegistryError: It was stopped.
        """
        limit = self.seconds * _TRANSFER
        try:
            with anyio.fail_after(limit):
                return await self._repeated(operation, None)
        except TimeoutError as error:
            msg = f"{what} was not transferred within {limit:.0f} s."
            hint = "Run this again, as layers that arrived are not sent again, or give a higher --timeout."
            raise RegistryError(msg, hint=hint) from error

    async def _repeated(self, operation: Callable[[], Awaitable[T]], begin: float | None) -> T:
        attempt, longest = 1, _FIRST_WAIT
        before: TransientError | None = None
        while True:
            try:
                return await operation()
            except TransientError as latest:
                now = _now()
                begin = now if begin is None else begin
                # An attempt that the limit cut off says less than the one before it.
                error = before if before is not None and now - begin >= self.seconds else latest
                left = min(self.seconds, error.within) - (now - begin)
                wait = max(error.after, longest * random.uniform(0.5, 1.0))  # noqa: S311 # jitter, not a secret
                if wait > left:
                    raise _final(error, attempt, now - begin, left) from latest
                before = error
            attempt, longest = attempt + 1, min(longest * 2, _LONGEST_WAIT)
            reason = before.message.removesuffix(".")
            self.notice(f"{reason}; trying again in {wait:.{0 if wait >= 1 else 1}f} s (attempt {attempt})")
            await _sleep(wait)


def time_left() -> float:
    """Return the seconds that are left of the current operation; infinite outside of one."""
    deadline = _deadline.get()
    return float("inf") if deadline is None else max(deadline - _now(), 0.0)


def _final(error: TransientError, attempts: int, seconds: float, left: float) -> TransientError:
    if error.after > max(left, 0.0):
        left = max(left, 0.0)
        return error.extended(
            f"It requests a wait of {error.after:.0f} s, but {left:.0f} s of the time limit are left."
        )
    return error if attempts == 1 else error.extended(f"Tried {attempts} times in {seconds:.0f} s.")
