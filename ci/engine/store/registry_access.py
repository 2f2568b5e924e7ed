"""Where image names lead, and with which credentials."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.secrets import SecretValue
from ci.engine.protocol.session import Session
from ci.engine.store.containers import RegistryAuth
from ci.system.processes import run_process

_NAME = re.compile(
    r"(?:(?P<host>localhost(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?|[^/:@]*[.:][^/@]*)/)?"
    r"(?P<path>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-fA-F]{32,}))?"
)
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")
_HUB = "docker.io"
_HUB_KEYS = frozenset({"https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io"})
_HELPER_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image's full name.

    Attributes:
        host: The registry, with its port where it has one.
        path: The repository in it.
        tag: The tag; empty where only the digest counts.
        digest: `sha256:…`, or empty.
    """

    host: str
    path: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, address: str) -> ImageName:
        """Read a name as Docker does: `debian` is `docker.io/library/debian:latest`.

        Raises:
            QueryFailedError: It is no image name.
        """
        found = _NAME.fullmatch(address)
        if found is None:
            msg = f"failed to parse image address {address!r}: invalid reference format"
            raise QueryFailedError(msg)
        host, path, digest = found["host"] or _HUB, found["path"], found["digest"] or ""
        if host in _HUB_KEYS:
            host = _HUB
        if host == _HUB and "/" not in path:
            path = f"library/{path}"
        return cls(host, path, found["tag"] or ("" if digest else "latest"), digest)

    def __str__(self) -> str:
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.path}{tag}{digest}"

    @property
    def fetched(self) -> str:
        """The name without its tag where there is a digest: builders take one of the two."""
        return f"{self.host}/{self.path}@{self.digest}" if self.digest else str(self)

    @property
    def plain(self) -> list[str]:
        """The registry, if it is on this machine and so speaks plain HTTP."""
        return [self.host] if _LOOPBACK.fullmatch(self.host) else []


def plain_registries(text: str) -> list[str]:
    """Return the registries of this machine that stand in image names in a text."""
    return sorted({found[0] for found in re.finditer(rf"(?<![\w.:-]){_LOOPBACK.pattern}(?=/)", text)})


@contextmanager
def credentials(session: Session, auths: Mapping[str, tuple[str, str]], base: Mapping[str, Any]) -> Iterator[Path]:
    """Give a file, for this user alone and while the block runs, with the credentials that builders may use.

    Args:
        session: The session.
        auths: User name and password by registry; they come before the caller's own.
        base: The caller's own, as `caller_config` reads them.
    """
    merged = {
        "auths": {**base.get("auths", {}), **{host: _entry(*pair) for host, pair in auths.items()}},
        "credHelpers": {host: name for host, name in base.get("credHelpers", {}).items() if host not in auths},
    }
    with session.workspace.private_file(json.dumps(merged)) as path:
        yield path


async def resolve_auths(session: Session, auths: Sequence[RegistryAuth]) -> dict[str, tuple[str, str]]:
    """Return user name and password by registry of credentials that a container was given."""
    found: dict[str, tuple[str, str]] = {}
    for auth in auths:
        secret = await session.value(auth.secret, SecretValue)
        found[_key(auth.address)] = (auth.username, secret.plaintext)
    return found


async def caller_config(hosts: Sequence[str]) -> dict[str, Any]:
    """Read the caller's own credentials, from where Docker and its kin keep them.

    Args:
        hosts: The registries that are about to be asked: a credential store is asked for these.

    Returns:
        `auths` and `credHelpers`, as in Docker's `config.json`. A file that is not there or broken counts as empty.
    """
    merged: dict[str, Any] = {"auths": {}, "credHelpers": {}}
    for path in _config_files():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        auths = {_key(host): entry for host, entry in (content.get("auths") or {}).items() if entry.get("auth")}
        merged["auths"] |= auths
        merged["credHelpers"] |= content.get("credHelpers") or {}
        store = content.get("credsStore")
        for host in hosts if store else ():
            if host not in merged["auths"] and (pair := await _stored(store, host)):
                merged["auths"][host] = _entry(*pair)
    return merged


def _config_files() -> list[Path]:
    """Return the files in the order in which later ones win."""
    docker = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    named = os.environ.get("REGISTRY_AUTH_FILE")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    files = [docker]
    if runtime:
        files.append(Path(runtime, "containers", "auth.json"))
    return [*files, Path(named)] if named else files


async def _stored(store: str, host: str) -> tuple[str, str] | None:
    server = "https://index.docker.io/v1/" if host == _HUB else host
    try:
        done = await run_process([f"docker-credential-{store}", "get"], time_limit=_HELPER_LIMIT, stdin=server.encode())
        found = json.loads(done.stdout) if done.exit_code == 0 else {}
    except (OSError, TimeoutError, ValueError):
        return None
    return (found["Username"], found["Secret"]) if {"Username", "Secret"} <= found.keys() else None


def _entry(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode("ascii")}


def _key(address: str) -> str:
    if address in _HUB_KEYS:
        return _HUB
    key = address.removeprefix("https://").removeprefix("http://").rstrip("/")
    key = re.sub(r"/v[12]$", "", key)
    return _HUB if key in _HUB_KEYS else re.sub(r"(?<=/)([^/:@]+)[:@].*$", r"\1", key)
