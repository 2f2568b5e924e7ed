"""The engine's directories: those that sessions share, and those of one session, which are removed with it."""

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
from ci.engine.store.trees import remove_tree
from ci.system.locks import try_lock

_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory with a random name and mode 0700 is created in it
_LOCK = "alive.lock"
_PRIVATE = "private.path"
_DRAFT = ".new-"


@dataclass(frozen=True, slots=True)
class SessionFolders:
    """The directories of one session.

    Attributes:
        shared: The engine's directory, which sessions share.
        name: The session's name; the names of its working containers begin with it.
        own: The session's directory, removed at its end.
        private: A directory for secrets, in memory if possible; mode 0700, removed at the session's end.
    """

    shared: Path
    name: str
    own: Path
    private: Path

    def unique(self, stem: str) -> str:
        """Return a name that is unique over all sessions."""
        return f"{self.name}-{stem}-{token_hex(4)}"

    @contextmanager
    def private_file(self, content: str | bytes) -> Iterator[Path]:
        """Provide a file of mode 0600 with this content while the block runs."""
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
        """Provide an empty directory while the block runs."""
        path = Path(tempfile.mkdtemp(prefix="work-", dir=self.own))
        try:
            yield path
        finally:
            remove_tree(path)


@contextmanager
def open_session_folders(shared: Path) -> Iterator[SessionFolders]:
    """Create the directories of a new session, and remove them at its end.

    Args:
        shared: The engine's directory; it is created if it does not exist.

    Raises:
        QueryFailedError: The directory is not writable.
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
        # Visible to other sessions only once it is locked, or they would remove it as a dead session's.
        draft.rename(own)
        private = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_MEMORY if _usable(_MEMORY) else None))
        try:
            _note_private(own, private, shared)
            yield SessionFolders(shared, name, own, private)
        finally:
            remove_tree(private)
            remove_tree(own)


def _note_private(own: Path, private: Path, shared: Path) -> None:
    try:
        (own / _PRIVATE).write_text(str(private), encoding="utf-8")
    except OSError as e:
        raise unusable(shared, e) from e


def unusable(shared: Path, error: OSError) -> QueryFailedError:
    """Return the error for an engine's directory that is not writable."""
    msg = f"the embedded engine's directory {shared} cannot be used: {(error.strerror or str(error)).lower()}"
    hint = "Free some space there" if error.errno == errno.ENOSPC else "Set XDG_CACHE_HOME to another directory"
    return QueryFailedError(msg, hint=f"{hint}.")


def live_sessions(shared: Path) -> set[str]:
    """Return the names of the running sessions."""
    return {own.name for own in _sessions(shared) if _is_held(own / _LOCK)}


def dead_sessions(shared: Path) -> list[Path]:
    """Return the directories of sessions that ended without removing them."""
    return [own for own in _sessions(shared) if not _is_held(own / _LOCK)]


def private_folder(own: Path) -> Path | None:
    """Return the private directory of a dead session, or None if it is gone."""
    try:
        private = Path((own / _PRIVATE).read_text(encoding="utf-8"))
    except OSError:
        return None
    return private if private.name.startswith(f"{own.name}-") and private.is_dir() else None


def remove_session(own: Path) -> None:
    """Remove the directories of a dead session."""
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
