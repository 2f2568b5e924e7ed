"""Prepares external text for messages: quoted or on one line, without terminal codes, cut to a readable length.

Pure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
_CONTROL_OR_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer)(\s+)[A-Za-z0-9._~+/-]+=*", re.IGNORECASE)
_SHORTEST_SECRET = 4
_LINES = 3
_LONGEST_LINE = 300
_LONGEST_QUOTE = 80
_LISTED = 5


def has_control_characters(text: str) -> bool:
    """Return whether a text contains control characters or Unicode's line separators."""
    return _CONTROL_OR_LINE.search(text) is not None


def quoted(text: str) -> str:
    """Quote a text for a message: escaped, on one line and cut to a readable length."""
    cut = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return repr(cut) if cut.isprintable() else ascii(cut)


def spellings(username: str, password: str) -> tuple[str, ...]:
    """Return the ways in which a server that got credentials may write them: as they were sent, and in an address."""
    basic = base64.b64encode(f"{username}:{password}".encode()).decode()
    return basic, quote(basic, safe=""), password, quote(password, safe=""), quote(password)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text from outside without the secrets that it may repeat, and without `Authorization` headers.

    A secret of less than four characters is left: it would be found in any text.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return _AUTHORIZATION.sub(r"\1\2***", text)


def listed(texts: Sequence[str]) -> str:
    """Return the first five texts on one line, and the number of further ones."""
    shown = ", ".join(text if text.isprintable() else quoted(text) for text in texts[:_LISTED])
    rest = len(texts) - _LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown


def without_terminal_codes(text: str) -> str:
    """Return a text without ANSI control sequences, which colour it or move the cursor (ECMA-48)."""
    return _ANSI.sub("", text)


def last_lines(output: str, count: int = _LINES) -> str:
    """Return the last lines of a command's output that are not blank, on one line."""
    lines = [line.strip()[:_LONGEST_LINE] for line in _plain(output).replace("\t", " ").splitlines()]
    return " / ".join([line for line in lines if line][-count:])


def tail(output: str, count: int) -> tuple[list[str], bool]:
    """Return the last lines of an output as a terminal shows them, and whether there are lines before those.

    Blank lines at its start and end are left out; of a line that was written over, the last state is kept.
    """
    lines = [shown_line(line) for line in without_terminal_codes(output).split("\n")]
    filled = [number for number, line in enumerate(lines) if line]
    lines = lines[filled[0] : filled[-1] + 1] if filled else []
    return lines[-count:], len(lines) > count


def shown_line(line: str) -> str:
    """Return a line with its indentation, as a terminal shows it: the last state of one that was written over."""
    last = line.rstrip("\r").rpartition("\r")[2]
    return _CONTROL_OR_LINE.sub("", last.expandtabs(4)).rstrip()[:_LONGEST_LINE]


def one_line(text: str) -> str:
    """Return a text on one line, cut to a readable length."""
    return " ".join(_plain(text).split())[: _LONGEST_LINE * 2]


def cause(error: BaseException) -> str:
    """Return an exception's message for the middle of a sentence: on one line, without its full stop.

    If it has no message, its type is returned.
    """
    return one_line(str(error)).rstrip(".") or type(error).__name__


def _plain(text: str) -> str:
    """Drop control sequences and control characters, except for those that separate words and lines."""
    return _CONTROL.sub("", without_terminal_codes(text))
