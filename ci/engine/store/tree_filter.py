"""Include and exclude patterns of a directory tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ci.engine.store.patterns import PatternMatcher


@dataclass(frozen=True)
class TreeFilter:
    """The paths of a tree that are taken: those that are included and not excluded.

    A directory that is not taken still appears if something below it is taken. (tonistiigi/fsutil, `filterFS.Walk`.)
    """

    include: PatternMatcher | None = None
    exclude: PatternMatcher | None = None

    @classmethod
    def of(cls, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> TreeFilter:
        """Read the patterns.

        Args:
            include: What is taken; everything if there are none. A lone `.` is everything.
            exclude: What is left out of that.

        Raises:
            PatternError: A pattern is not valid.
        """
        return cls(_matcher(include), _matcher(exclude))

    def takes(self, path: str) -> bool:
        """Return whether a path is taken."""
        if self.include is not None and not self.include.matches(path):
            return False
        return self.exclude is None or not self.exclude.matches(path)

    def enters(self, path: str) -> bool:
        """Return whether anything in a directory may be taken."""
        if self.include is not None and not self.include.may_contain(path):
            return False
        return self.exclude is None or not self.exclude.may_skip(path)


EVERYTHING = TreeFilter()


def _matcher(patterns: Sequence[str]) -> PatternMatcher | None:
    kept = ["*" if pattern.strip() == "." else pattern for pattern in patterns if pattern.strip()]
    return PatternMatcher(kept) if kept else None
