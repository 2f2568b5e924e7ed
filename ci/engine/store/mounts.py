"""What is mounted into a container while a command runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.secrets import SecretValue
from ci.engine.protocol.session import Session
from ci.engine.store.container_roots import resolve_in
from ci.engine.store.containers import Mount, MountKind
from ci.system.locks import exclusive_lock


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount that is ready.

    Attributes:
        options: What tells buildah.
        writable: The folder with the copy that the command may change; None where there is none.
    """

    options: tuple[str, ...]
    writable: Path | None = None


async def attach(session: Session, stack: AsyncExitStack, root: Path, mount: Mount, *, content: str) -> Mounted:
    """Make ready what is mounted, for as long as the stack is open.

    Args:
        session: The session.
        stack: Closed when the command has ended.
        root: Where the container's file system is mounted.
        mount: What, and where.
        content: What a secret's file holds, where the mount names no secret.
    """
    match mount.kind:
        case MountKind.TEMPORARY:
            size = f",tmpfs-size={mount.size}" if mount.size is not None else ""
            return Mounted(("--mount", f"type=tmpfs,destination={mount.path}{size}"))
        case MountKind.CACHE:
            return _bound(await stack.enter_async_context(_cache(session, mount)), mount.path)
        case MountKind.SECRET:
            text = content if mount.secret is None else (await session.value(mount.secret, SecretValue)).plaintext
            path = stack.enter_context(session.workspace.private_file(text))
            path.chmod(mount.mode)
            if mount.owner:
                os.chown(path, *owner_ids(root, mount.owner))
            return _bound(path, mount.path, read_only=True)
        case MountKind.DIRECTORY | MountKind.FILE:
            return await _attach_snapshot(session, stack, mount)


async def _attach_snapshot(session: Session, stack: AsyncExitStack, mount: Mount) -> Mounted:
    if mount.snapshot is None:
        raise TypeError
    folder = mount.snapshot.path
    if not mount.read_only:
        folder = stack.enter_context(session.workspace.scratch())
        folder.chmod(0o755)
        await mount.snapshot.export(folder)
    source = next(iter(folder.iterdir())) if mount.kind is MountKind.FILE else folder
    options = _bound(source, mount.path, read_only=mount.read_only).options
    return Mounted(options, None if mount.read_only else folder)


def _bound(source: Path, target: str, *, read_only: bool = False) -> Mounted:
    if ":" in target or ":" in str(source):
        msg = f"cannot mount at {target!r}: the builder cannot take a path with a colon"
        raise QueryFailedError(msg)
    return Mounted(("--volume", f"{source}:{target}:{'ro' if read_only else 'rw'}"))


@asynccontextmanager
async def _cache(session: Session, mount: Mount) -> AsyncIterator[Path]:
    """Give a cache volume's folder; with LOCKED sharing, to one command at a time."""
    name = hashlib.sha256(mount.cache.encode()).hexdigest()[:32]
    folder = session.workspace.shared / "caches" / name
    folder.mkdir(parents=True, exist_ok=True)
    if not mount.locked:
        yield folder
        return
    async with exclusive_lock(folder.with_suffix(".lock")):
        yield folder


def owner_ids(root: Path, owner: str) -> tuple[int, int]:
    """Return the numbers of `user` or `user:group`, by the container's own lists of them.

    Raises:
        QueryFailedError: The container has no such user or group.
    """
    user, _, group = owner.partition(":")
    found = _entry(root, "/etc/passwd", user)
    uid = int(found[2]) if found else _number(user, owner)
    if not group:
        return uid, int(found[3]) if found else uid
    found = _entry(root, "/etc/group", group)
    return uid, int(found[2]) if found else _number(group, owner)


def _number(text: str, owner: str) -> int:
    if not text.isdecimal():
        msg = f"failed to resolve owner {owner!r}: the container has no {text!r}"
        raise QueryFailedError(msg)
    return int(text)


def _entry(root: Path, table: str, name: str) -> list[str] | None:
    path = resolve_in(root, table)
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((fields for line in lines if (fields := line.split(":"))[0] == name and len(fields) > 3), None)  # noqa: PLR2004 - name, password, numbers
