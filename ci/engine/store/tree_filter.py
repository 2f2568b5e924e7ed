"""What of a folder a snapshot takes: include and exclude patterns, and what git ignores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dulwich.ignore import IgnoreFilterManager

from ci.engine.store.patterns import PatternMatcher


class _Ignored(IgnoreFilterManager):
    """What git ignores; a link to a folder is no folder to it."""

    def _is_dir(self, path: str) -> bool:
        return super()._is_dir(path) and not Path(self._top_path, path).is_symlink()


@dataclass(frozen=True)
class TreeFilter:
    """Which paths of a tree pass: those that are included, not excluded and not ignored by git.

    A folder that does not pass appears all the same where something below it does. One that passes appears even
    when nothing in it does. (tonistiigi/fsutil, `filterFS.Walk`.)
    """

    include: PatternMatcher | None = None
    exclude: PatternMatcher | None = None
    ignored: IgnoreFilterManager | None = None
    prefix: str = ""

    @classmethod
    def of(
        cls,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        *,
        gitignore_in: Path | None = None,
        search_above: bool = False,
    ) -> TreeFilter:
        """Read the patterns.

        Args:
            include: What passes; everything where there are none. A lone `.` means everything.
            exclude: What does not, of that.
            gitignore_in: The folder whose `.gitignore` files count, if they do.
            search_above: They count from the git repository around that folder on.

        Raises:
            PatternError: A pattern cannot be read.
        """
        ignored = None
        prefix = ""
        if gitignore_in is not None:
            top = _repository_root(gitignore_in) if search_above else gitignore_in
            ignored = _Ignored(str(top), [], ignorecase=False)
            prefix = "" if top == gitignore_in else f"{gitignore_in.relative_to(top).as_posix()}/"
        return cls(_matcher(include), _matcher(exclude), ignored, prefix)

    def takes(self, path: str) -> bool:
        """Tell whether a path passes."""
        if self.include is not None and not self.include.matches(path):
            return False
        if self.exclude is not None and self.exclude.matches(path):
            return False
        return not self._ignores(path)

    def enters(self, path: str) -> bool:
        """Tell whether anything in a folder may pass."""
        if self.include is not None and not self.include.may_contain(path):
            return False
        if self.exclude is not None and self.exclude.may_skip(path):
            return False
        return not self._ignores(path)

    def _ignores(self, path: str) -> bool:
        # Without a slash behind folders: dulwich looks at the disk then, and reads `models/*` as git does.
        return self.ignored is not None and bool(self.ignored.is_ignored(self.prefix + path))


EVERYTHING = TreeFilter()


def _matcher(patterns: Sequence[str]) -> PatternMatcher | None:
    kept = ["*" if pattern.strip() == "." else pattern for pattern in patterns if pattern.strip()]
    return PatternMatcher(kept) if kept else None


def _repository_root(folder: Path) -> Path:
    for above in (folder, *folder.parents):
        if (above / ".git").exists():
            return above
    return folder
