"""The engine's directories: those that sessions share, and those of one session, which are removed with it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from ci.engine.errors import QueryFailedError
from ci.system.owned_folders import owned_folder, remove_tree

_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory with a random name and mode 0700 is created in it


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

    @property
    def runtime_root(self) -> Path:
        """The directory of runc's state of this session's containers."""
        return runtime_root(self.private)

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
    with ExitStack() as stack:
        try:
            shared.mkdir(mode=0o700, parents=True, exist_ok=True)
            sessions_folder(shared).mkdir(mode=0o700, exist_ok=True)
            own = stack.enter_context(owned_folder(sessions_folder(shared)))
            private = stack.enter_context(owned_folder(secrets_folder()))
        except OSError as e:
            raise unusable(shared, e) from e
        yield SessionFolders(shared, own.name, own, private)


def unusable(shared: Path, error: OSError) -> QueryFailedError:
    """Return the error for an engine's directory that is not writable."""
    msg = f"the embedded engine's directory {shared} cannot be used: {(error.strerror or str(error)).lower()}"
    hint = "Free some space there" if error.errno == errno.ENOSPC else "Set XDG_CACHE_HOME to another directory"
    return QueryFailedError(msg, hint=f"{hint}.")


def sessions_folder(shared: Path) -> Path:
    """Return the directory in which each session owns one."""
    return shared / "sessions"


def secrets_folder() -> Path:
    """Return the directory in which each session owns one for its secrets."""
    usable = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK | os.X_OK)
    return _MEMORY if usable else Path(tempfile.gettempdir())


def runtime_root(private: Path) -> Path:
    """Return the directory of runc's state of a session's containers: not on the store's disk, which may be full."""
    return private / "runc"
