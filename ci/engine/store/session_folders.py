"""Folders of the embedded engine: those that sessions share, and those of one session, removed when it is dead."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from ci.engine.errors import QueryFailedError
from ci.engine.store.snapshots import remove_tree
from ci.system.locks import try_lock

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name and mode 0700 is made in it
_LOCK = "alive.lock"
_PRIVATE = "private.path"
_DRAFT = ".new-"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one session keeps its things.

    Attributes:
        shared: The engine's folder, which sessions share.
        name: The session's own name; its working containers begin with it.
        own: The session's folder, removed at its end.
        private: A folder for secrets, in memory where there is such a place; mode 0700, removed at the end.
    """

    shared: Path
    name: str
    own: Path
    private: Path

    def unique(self, stem: str) -> str:
        """Return a name that nothing else in any session has."""
        return f"{self.name}-{stem}-{token_hex(4)}"

    @contextmanager
    def private_file(self, content: str | bytes) -> Iterator[Path]:
        """Give a file with mode 0600 that holds this, for as long as the block runs."""
        path = self.private / token_hex(8)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder for as long as the block runs."""
        path = Path(tempfile.mkdtemp(prefix="work-", dir=self.own))
        try:
            yield path
        finally:
            remove_tree(path)


@contextmanager
def open_workspace(shared: Path) -> Iterator[Workspace]:
    """Make the folders of a new session, and remove them at its end.

    Args:
        shared: The engine's folder; made where it is missing.

    Raises:
        QueryFailedError: The folder cannot be written to.
    """
    name = f"s{os.getpid()}-{token_hex(3)}"
    own = shared / "sessions" / name
    try:
        shared.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = own.with_name(f"{_DRAFT}{name}")
        draft.mkdir(mode=0o700, parents=True)
        lock = draft / _LOCK
        lock.touch(mode=0o600)
    except OSError as e:
        raise unusable(shared, e) from e
    with try_lock(lock):
        draft.rename(own)  # others see the folder only once it is locked, so that they don't take it for a dead one's
        private = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_MEMORY if _usable(_MEMORY) else None))
        try:
            _note_private(own, private, shared)
            yield Workspace(shared, name, own, private)
        finally:
            remove_tree(private)
            remove_tree(own)


def _note_private(own: Path, private: Path, shared: Path) -> None:
    try:
        (own / _PRIVATE).write_text(str(private), encoding="utf-8")
    except OSError as e:
        raise unusable(shared, e) from e


def unusable(shared: Path, error: OSError) -> QueryFailedError:
    """Say that the engine's folder cannot be written to, and why."""
    msg = f"the embedded engine's folder {shared} cannot be used: {(error.strerror or str(error)).lower()}"
    hint = "Free some space there" if error.errno == errno.ENOSPC else "Name another by XDG_CACHE_HOME"
    return QueryFailedError(msg, hint=f"{hint}.")


def live_sessions(shared: Path) -> set[str]:
    """Return the names of the sessions that are alive."""
    return {own.name for own in _sessions(shared) if _is_held(own / _LOCK)}


def dead_sessions(shared: Path) -> list[Path]:
    """Return the folders of the sessions that ended without removing them."""
    return [own for own in _sessions(shared) if not _is_held(own / _LOCK)]


def private_folder(own: Path) -> Path | None:
    """Return the private folder of a dead session, if it is still there."""
    try:
        private = Path((own / _PRIVATE).read_text(encoding="utf-8"))
    except OSError:
        return None
    return private if private.name.startswith(f"{own.name}-") and private.is_dir() else None


def remove_session(own: Path) -> None:
    """Remove the folders of a dead session."""
    with suppress(OSError):
        private = private_folder(own)
        if private is not None:
            remove_tree(private)
        remove_tree(own)


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    with try_lock(path) as free:
        return not free


def _sessions(shared: Path) -> list[Path]:
    folder = shared / "sessions"
    found = folder.iterdir() if folder.is_dir() else ()
    return [own for own in found if own.is_dir() and not own.name.startswith(_DRAFT)]


def _usable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
