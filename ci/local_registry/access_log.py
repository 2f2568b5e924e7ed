"""Reads what docker-registry writes for each request: the combined log format of web servers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(
    r'^\S+ \S+ \S+ \[[^\]]*\] "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d{3}) '
    r'\d+(?: "[^"]*" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the registry has answered.

    Attributes:
        method: `GET`, `HEAD`, `PUT`, …
        path: The path alone.
        status: The answer's status.
        query: What stood behind the `?`, undecoded, or empty.
        agent: The client's name for itself.
    """

    method: str
    path: str
    status: int
    query: str = ""
    agent: str = ""


def parse_access_line(line: str) -> Request | None:
    """Return the request that a log line tells of; None for any other line."""
    found = _LINE.match(line)
    if found is None:
        return None
    path, _, query = found["target"].partition("?")
    return Request(found["method"], path, int(found["status"]), query, found["agent"] or "")


def read_access_log(path: Path) -> list[Request]:
    """Return every request of a log, oldest first; none when there is no such file yet.

    A line is written just after its answer was sent, so the last request may be missing for a moment.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [request for line in text.splitlines() if (request := parse_access_line(line)) is not None]
