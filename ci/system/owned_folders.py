"""Folders that a process owns, and that a later process removes if their owner was killed.

A process holds a lock on each of its folders. The kernel releases it however the process ends, and it counts in other
containers too, where process ids mean other processes.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OWNED_NAME = re.compile(r"lr-ci-[0-9]+-[a-z0-9_]{8}")
"""The names of these folders."""

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def owned_folder(parent: Path) -> Iterator[Path]:
    """Provide a new folder, of mode 0700, that is removed when the block ends or, if the process is killed, later.

    Raises:
        OSError: It cannot be created.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"lr-ci-{os.getpid()}-", dir=parent))
        try:
            descriptor = os.open(folder, _FLAGS)
        except FileNotFoundError:
            continue  # before it was locked, another process removed it as abandoned
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not folder.exists():
                continue  # as above
            try:
                yield folder
            finally:
                remove_tree(folder)
            return
        finally:
            os.close(descriptor)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide a new folder for temporary files; see `owned_folder`."""
    with owned_folder(Path(tempfile.gettempdir())) as folder:
        yield folder


def owned_folders(parent: Path) -> dict[Path, bool]:
    """Return the folders that processes of this user made in a directory, and whether their owners run."""
    found: dict[Path, bool] = {}
    for folder in _candidates(parent):
        with _locked(folder) as abandoned:
            found[folder] = not abandoned
    return found


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of processes of this user that have ended, as far as possible."""
    for folder in _candidates(parent):
        with _locked(folder) as abandoned, suppress(OSError):
            if abandoned:
                remove_tree(folder)


def remove_tree(path: Path) -> None:
    """Remove a file or a directory with its content, even directories without write permission; no link is followed."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    path.chmod(0o700)
    for name in os.listdir(path):  # noqa: PTH208 - names, not paths
        remove_tree(path / name)
    path.rmdir()


def _candidates(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if OWNED_NAME.fullmatch(entry.name)]
    except OSError:
        return []


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Try to hold the lock of a folder while the block runs, and yield whether it is held.

    It is not for a folder of another user, who could exchange it for a link while it is removed.
    """
    try:
        descriptor = os.open(folder, _FLAGS)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = os.fstat(descriptor).st_uid == os.geteuid() and folder.exists()
    except BlockingIOError:
        held = False
    try:
        yield held
    finally:
        os.close(descriptor)
