"""The summary of a failed run: the error in its log, and the last lines.

Anything that looks like a token is hidden, as a summary is kept longer than the log and seen by more people.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ci.github.markdown import plain_lines, render
from pipeline.rules.errors import UsageError

_READ_BYTES = 1024 * 1024
_LAST_LINES = 80  # the longest error about a build, and some lines before it
_LONGEST_LINE = 1_000
_LONGEST_TAIL = 48 * 1024
_ERROR = re.compile(r"^\s*(?:error|Error|ERROR): (?:FunctionError: )?(?P<message>\S.*)$")
_HIDDEN = "***"
_SECRETS = re.compile(
    r"\bgh[a-z]_[A-Za-z0-9_.-]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\beyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_.-]{20,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)|(?i:(?<=authorization: )(?:(?:basic|bearer|token) )?\S+)"
)
_SECRET_VARIABLES = ("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class FailedLog:
    """The log of a run that failed.

    Attributes:
        message: The error that ended the run, with its hint; empty if the log contains none.
        tail: The last lines; empty if there is no log.
        cut: Whether there are lines before them.
    """

    message: str
    tail: str
    cut: bool


def read_failed_log(path: Path) -> FailedLog:
    """Read the log of a failed run; a missing file counts as an empty log.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _READ_BYTES, 0))
            content = file.read(_READ_BYTES)
    except FileNotFoundError:
        return FailedLog(message="", tail="", cut=False)
    except OSError as error:
        msg = f"Cannot read the log {path}: {error.strerror}."
        raise UsageError(msg, hint="Give --log the file with the output of the failed command.") from error
    log = parse_failed_log(content.decode("utf-8", "replace"))
    return FailedLog(message=log.message, tail=log.tail, cut=log.cut or size > _READ_BYTES)


def parse_failed_log(content: str) -> FailedLog:
    """Find the error and the last lines in a log.

    Args:
        content: The whole log, or its end.
    """
    lines = [line.rstrip() for line in _without_secrets(plain_lines(content)).strip().split("\n")]
    tail: list[str] = []
    size = 0
    for line in reversed(lines[-_LAST_LINES:]):
        short = line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + "…"
        size += len(short.encode()) + 1
        if size > _LONGEST_TAIL:
            break
        tail.insert(0, short)
    return FailedLog(message=_error(lines), tail="\n".join(tail), cut=len(tail) < len(lines))


def failure_summary(log: FailedLog) -> str:
    """Return the job summary of a failed run, in Markdown: the error and the last lines of its log."""
    return render("failure-summary.md.j2", {"message": log.message, "tail": log.tail, "cut": log.cut})


def hide_secret(content: str, secret: str) -> str:
    """Return a text with a secret replaced; one that is too short to be a secret is left."""
    return content.replace(secret, _HIDDEN) if len(secret) >= _SHORTEST_SECRET else content


def _error(lines: list[str]) -> str:
    """Return the last error and the line after it, which is its hint."""
    for place, line in reversed(list(enumerate(lines))):
        if found := _ERROR.match(line):
            following = lines[place + 1 : place + 2]
            return " ".join([found["message"], *(hint.strip() for hint in following)]).strip().removesuffix(":")
    return ""


def _without_secrets(content: str) -> str:
    for name in _SECRET_VARIABLES:
        content = hide_secret(content, os.environ.get(name, ""))
    return _SECRETS.sub(_HIDDEN, content)
