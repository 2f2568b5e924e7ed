"""Include and exclude patterns, as in Docker's `.dockerignore` and Dagger's host directories.

The rules are those of moby's patternmatcher (`MatchesOrParentMatches`) and of the walk in tonistiigi/fsutil: `*`
and `?` stop at `/`, `**` does not, `!` makes an exception, and the last pattern that matches a path or one of its
parents decides.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ci.engine.errors import PatternError

_SPECIAL = frozenset("*?[\\")
_ANY_FOLDERS = "(?:.*/)?"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern, ready to match.

    Attributes:
        exception: Whether it began with `!`.
        regex: Matches whole paths.
        fixed: The leading path segments without wildcards.
        open_ended: Whether segments with wildcards follow.
    """

    exception: bool
    regex: re.Pattern[str]
    fixed: tuple[str, ...]
    open_ended: bool

    def may_match_below(self, directory: tuple[str, ...]) -> bool:
        depth = min(len(self.fixed), len(directory))
        if self.fixed[:depth] != directory[:depth]:
            return False
        return self.open_ended or len(self.fixed) > len(directory)


class PatternMatcher:
    """A list of patterns, of which the last one that matches decides.

    Args:
        patterns: Patterns relative to the top directory; blank ones are skipped. A leading `/` or `./` and a trailing
            `/` have no meaning.

    Raises:
        PatternError: A pattern is a lone `!`, or a bracket or an escape in it does not end; the message contains it.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._rules = tuple(_rules(patterns))

    def matches(self, path: str) -> bool:
        """Return whether the patterns cover a path.

        Args:
            path: Relative, `/`-separated.

        Returns:
            By the last pattern that matches the path or one of its parents; False if none does.
        """
        paths = list(accumulate(_segments(path), posixpath.join))
        for rule in reversed(self._rules):
            if any(rule.regex.fullmatch(each) for each in paths):
                return not rule.exception
        return False

    def matches_exactly(self, path: str) -> bool:
        """Return whether they cover a path itself; a match of a parent does not count. This is how Dagger globs."""
        cleaned = "/".join(_segments(path))
        for rule in reversed(self._rules):
            if rule.regex.fullmatch(cleaned):
                return not rule.exception
        return False

    def may_skip(self, directory: str) -> bool:
        """Return whether a walk may skip a directory: it is covered, and no exception can match below it."""
        segments = _segments(directory)
        if not segments or any(rule.exception and rule.may_match_below(segments) for rule in self._rules):
            return False
        return self.matches(directory)

    def may_contain(self, directory: str) -> bool:
        """Return whether anything in a directory could be covered, so that a walk must enter it."""
        segments = _segments(directory)
        if not segments or any(not rule.exception and rule.may_match_below(segments) for rule in self._rules):
            return True
        return self.matches(directory)


def read_ignore_file(text: str) -> list[str]:
    """Read the patterns of a `.dockerignore`.

    Args:
        text: The file's text. Blank lines and lines that begin with `#` are left out.

    Returns:
        Its patterns in order, without blanks around them and without a leading `/`. A lone `!` is kept, for
        `PatternMatcher` to refuse.
    """
    patterns = []
    for line in text.removeprefix("\ufeff").split("\n"):
        pattern = "" if line.startswith("#") else line.strip()
        exception = pattern.startswith("!")
        pattern = pattern[1:].strip() if exception else pattern
        if pattern:
            pattern = _clean(pattern).strip()  # as moby does, for blanks behind the slash
        if pattern or exception:
            patterns.append(f"!{pattern}" if exception else pattern)
    return patterns


def _segments(path: str) -> tuple[str, ...]:
    return tuple(segment for segment in posixpath.normpath(path).split("/") if segment not in {"", "."})


def _clean(pattern: str) -> str:
    return posixpath.normpath(pattern).lstrip("/") or "."


def _rules(patterns: Sequence[str]) -> Iterator[_Rule]:
    for pattern in patterns:
        text = pattern.strip()
        if not text:
            continue
        text = _clean(text)
        exception = text.startswith("!")
        if exception:
            text = text[1:].strip()
            if not text:
                msg = f"invalid pattern {pattern!r}: nothing follows the `!`"
                raise PatternError(msg)
            text = _clean(text)
        segments = text.split("/")
        fixed: list[str] = []
        for segment in segments:
            if not _SPECIAL.isdisjoint(segment):
                break
            fixed.append(segment)
        try:
            regex = re.compile(_translate(text), re.DOTALL)
        except (ValueError, re.error) as e:
            msg = f"invalid pattern {pattern!r}: {e}"
            raise PatternError(msg) from e
        yield _Rule(exception, regex, tuple(fixed), len(fixed) < len(segments))


def _translate(pattern: str) -> str:
    """Return a cleaned pattern as a regular expression for whole paths; a ValueError states what is wrong."""
    rest = pattern[2:]
    if pattern.startswith("**") and not rest.startswith("/") and _SPECIAL.isdisjoint(rest):
        return ".*" + re.escape(rest)  # `**.rb` is the end of a path; `**r?` begins at a segment
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 2 if pattern.startswith("/", at + 1) else 1
            if at == len(pattern):
                parts.append(".*")
            elif parts[-1:] != [_ANY_FOLDERS]:
                parts.append(_ANY_FOLDERS)
        elif char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            text, at = _translate_class(pattern, at)
            parts.append(text)
        elif char == "\\":
            literal, at = _escaped(pattern, at - 1)
            parts.append(re.escape(literal))
        else:
            parts.append(re.escape(char))
    return "".join(parts)


def _translate_class(pattern: str, at: int) -> tuple[str, int]:
    """Translate `[…]`, whose content begins at `at`; return the text and where it ends."""
    parts: list[str] = []
    negated = pattern.startswith("^", at)
    at += negated
    while not (parts and pattern.startswith("]", at)):
        if at >= len(pattern):
            msg = "a `[` is not closed"
            raise ValueError(msg)
        if pattern[at] in "-]":
            msg = f"`{pattern[at]}` inside `[…]` requires a backslash before it"
            raise ValueError(msg)
        low, at = _escaped(pattern, at)
        high = low
        if pattern.startswith("-", at):
            if pattern[at + 1 : at + 2] in {"", "-", "]"}:
                msg = f"the range `{low}-` in `[…]` has no end"
                raise ValueError(msg)
            high, at = _escaped(pattern, at + 1)
        parts.append(re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}")
    return f"[{'^' if negated else ''}{''.join(parts)}]", at + 1


def _escaped(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] != "\\":
        return pattern[at], at + 1
    if at + 1 == len(pattern):
        msg = "it ends in a backslash that escapes nothing"
        raise ValueError(msg)
    return pattern[at + 1], at + 2
