"""Reads the credentials for registries from Docker's configuration: `auths`, `credHelpers` and `credsStore`.

The format is described at https://docs.docker.com/reference/cli/docker/login/ ("Credential stores").
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.system.processes import run_process
from pipeline.rules.image_name import HUB, HUB_API

_HUB_SERVER = "https://index.docker.io/v1/"
_HUB_KEYS = frozenset({_HUB_SERVER, "index.docker.io", HUB_API})
_HELPER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The user's credentials for registries.

    Attributes:
        auths: Entries with `auth`, the base64 of `USER:PASSWORD`, by registry.
        helpers: The names of credential helpers by registry: `ecr-login` is `docker-credential-ecr-login`.
    """

    auths: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)


async def read_docker_config(registries: Sequence[str] = ()) -> DockerConfig:
    """Read the files of Docker and its relatives; a missing or invalid one counts as empty.

    Args:
        registries: The registries to query a credential store for.
    """
    auths: dict[str, Mapping[str, str]] = {}
    helpers: dict[str, str] = {}
    for path in _files():
        content = _read(path)
        auths |= {
            registry_key(server): entry for server, entry in (content.get("auths") or {}).items() if entry.get("auth")
        }
        helpers |= content.get("credHelpers") or {}
        store = content.get("credsStore")
        missing = [registry for registry in registries if registry not in auths] if store else []
        for registry in missing:
            if (entry := await _stored(str(store), registry)) is not None:
                auths[registry] = entry
    return DockerConfig(auths, helpers)


def auth_entry(username: str, password: str) -> dict[str, str]:
    """Return the entry of `auths` for a user name and a password."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode("ascii")}


def registry_key(server: str) -> str:
    """Return the registry, or the part of it, that an entry is for: `ghcr.io`, `localhost:5001` or `ghcr.io/owner`."""
    if server in _HUB_KEYS:
        return HUB
    key = server.removeprefix("https://").removeprefix("http://").rstrip("/")
    key = re.sub(r"/v[12]$", "", key)
    return HUB if key in _HUB_KEYS else re.sub(r"(?<=/)([^/:@]+)[:@].*$", r"\1", key)


def _files() -> list[Path]:
    """Return the files; a later one overrides an earlier one."""
    files = [Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        files.append(Path(runtime, "containers", "auth.json"))
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        files.append(Path(named))
    return files


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


async def _stored(store: str, registry: str) -> dict[str, str] | None:
    server = _HUB_SERVER if registry == HUB else registry
    command = [f"docker-credential-{store}", "get"]
    try:
        done = await run_process(command, time_limit=_HELPER_SECONDS, stdin=server.encode())
        found = json.loads(done.stdout) if done.exit_code == 0 else {}
    except (OSError, TimeoutError, ValueError):
        return None
    return auth_entry(found["Username"], found["Secret"]) if {"Username", "Secret"} <= found.keys() else None
