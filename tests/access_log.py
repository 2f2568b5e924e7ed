"""Reads the access log of docker-registry: the combined log format of web servers."""

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
    """A request that the registry answered.

    Attributes:
        method: `GET`, `HEAD`, `PUT`, …
        path: The path alone.
        status: The status of the answer.
        query: The query, undecoded, or empty.
        agent: The client's User-Agent.
    """

    method: str
    path: str
    status: int
    query: str = ""
    agent: str = ""


def read_access_log(path: Path) -> list[Request]:
    """Return every request of a log, oldest first.

    A line is written just after its answer was sent, so the last request may be missing for a moment.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [_request(match) for line in lines if (match := _LINE.match(line)) is not None]


def _request(match: re.Match[str]) -> Request:
    path, _, query = match["target"].partition("?")
    return Request(match["method"], path, int(match["status"]), query, match["agent"] or "")
