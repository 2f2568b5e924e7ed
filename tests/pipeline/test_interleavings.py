from __future__ import annotations

import pytest

from pipeline import promotion
from tests.pipeline.races import PAIRS, QUICK_TRIPLES, races


@pytest.mark.parametrize("kinds", [*PAIRS, *QUICK_TRIPLES], ids=", ".join)
def test_runs_at_once_keep_every_promise_in_every_order(kinds: tuple[str, ...]) -> None:
    found = races(kinds)
    assert found.ends
    assert found.broken == {}


@pytest.mark.parametrize("kinds", [("branch", "newer"), ("branch", "release")], ids=", ".join)
def test_a_write_after_the_last_reading_is_what_remains(kinds: tuple[str, ...]) -> None:
    """Keeps `docs/decisions/0016-promotion-without-compare-and-swap.md` true."""
    assert races(kinds).late


def test_without_the_second_reading_they_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "_ROUNDS", 1)
    assert races(("branch", "release")).broken
