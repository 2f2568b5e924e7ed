"""Where a value of a file stands, the search for the files, and the errors about what stands there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.rules.errors import UsageError
from pipeline.rules.text import quoted

SHOWN_AS_SECRET = "(not shown)"  # noqa: S105 - in the place of one


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value.

    Attributes:
        file: The file.
        key: The variable of `.env`, or the path in `dagger.json` with the argument's name.
    """

    file: Path
    key: str

    def __str__(self) -> str:
        return f"{self.shown_file}, {self.key}"

    @property
    def shown_file(self) -> str:
        """The file's path from the current directory."""
        return os.path.relpath(self.file)


def wrong_value(place: Place, value: str, problem: str, *, hint: str = "") -> UsageError:
    """Return the error about a value that a file gives.

    Args:
        place: Where it stands.
        value: The value, as the file has it; `SHOWN_AS_SECRET` if it may be a secret.
        problem: What is wrong.
        hint: What to do next.
    """
    shown = value if value == SHOWN_AS_SECRET else quoted(value)
    return UsageError(f"{place}: {shown}: {problem}", hint=hint)


def find_up(folder: Path, name: str) -> Path | None:
    """Return the nearest file of a name in a directory or above it, as Dagger does: up to the file system's root."""
    for above in (folder, *folder.parents):
        found = above / name
        if os.path.lexists(found):
            return found
    return None


def read_text(file: Path) -> str:
    """Return the text of a file.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        msg = f"{os.path.relpath(file)} cannot be read: {reason}."
        raise UsageError(msg) from error
