from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.rules.age import parse_age, shown_age
from pipeline.rules.errors import UsageError


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("7d", timedelta(days=7)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("0m", timedelta()),
        ("99999d", timedelta(days=99999)),
        (" 1d\n", timedelta(days=1)),
    ],
)
def test_an_age_has_a_number_and_a_unit(text: str, time: timedelta) -> None:
    assert (parse_age(text).time, str(parse_age(text))) == (time, text.strip())


@pytest.mark.parametrize("text", ["", "7", "d", "7w", "7 d", "-1d", "1.5d", "100000d", "\u0667d", "7d1h"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^Invalid age '.*': expected days, hours or minutes, such as 7d, 12h or 30m"):
        parse_age(text)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (timedelta(days=9, hours=23), "9 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=-1), "less than a minute"),
    ],
)
def test_it_is_shown_in_its_largest_unit(time: timedelta, expected: str) -> None:
    assert shown_age(time) == expected
