"""Ages, as options give them and messages show them.

Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from pipeline.rules.errors import UsageError
from pipeline.rules.text import quoted

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_AGE = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[dhm])")


@dataclass(frozen=True, slots=True)
class Age:
    """An age in days, hours or minutes.

    Attributes:
        text: The age as it was given, such as `7d`.
        time: The same as a duration.
    """

    text: str
    time: timedelta

    def __str__(self) -> str:
        return self.text


def parse_age(text: str) -> Age:
    """Read an age such as `7d`, `12h` or `30m`.

    Raises:
        UsageError: It is not valid.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        msg = f"Invalid age {quoted(text)}: expected days, hours or minutes, such as 7d, 12h or 30m."
        raise UsageError(msg)
    return Age(match[0], int(match["count"]) * _UNITS[match["unit"]])


def shown_age(time: timedelta) -> str:
    """Return a duration in its largest unit, rounded down, such as `9 days`."""
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if (count := time // unit) >= 1:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"
