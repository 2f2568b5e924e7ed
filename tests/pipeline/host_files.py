"""A repository of this machine, read as a `dagger.Workspace` is, wherever the session was started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagger

MakeDirectory = Callable[[Mapping[str, str]], dagger.Directory]
"""Makes a directory of the engine with files, by their names."""


@dataclass(frozen=True)
class HostFiles:
    """Stands for the workspace of a call in a repository.

    Attributes:
        dag: The session.
        folder: The repository's top directory.
    """

    dag: dagger.Client
    folder: Path

    def directory(
        self, path: str, *, exclude: list[str] | None = None, include: list[str] | None = None
    ) -> dagger.Directory:
        """Read a directory, whose path starts at the top."""
        return self.dag.host().directory(f"{self.folder}{path}", exclude=exclude, include=include, no_cache=True)
