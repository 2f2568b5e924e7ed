"""How builders reach registries: by which names, over plain HTTP or TLS, and with which credentials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ci.engine.errors import QueryFailedError
from ci.engine.store.session_folders import SessionFolders
from ci.system.docker_config import DockerConfig, auth_entry
from pipeline.rules.image_name import Reference, is_loopback, parse_reference

Logins = Mapping[str, tuple[str, str]]
"""User names and passwords by registry."""


def image_reference(address: str) -> Reference:
    """Read an image's address as Docker does.

    Raises:
        QueryFailedError: It is not a valid reference.
    """
    found = parse_reference(address)
    if found is None:
        msg = f"failed to parse image address {address!r}: invalid reference format"
        raise QueryFailedError(msg)
    return found


def by_digest(name: Reference) -> str:
    """Return a name without its tag if it has a digest: builders accept only one of the two."""
    return f"{name.registry}/{name.repository}@{name.digest}" if name.digest else str(name)


def plain_registries(registries: Iterable[str]) -> list[str]:
    """Return the registries that are on the loopback interface, and so are reached by plain HTTP."""
    return [registry for registry in registries if is_loopback(registry)]


@contextmanager
def credentials_file(folders: SessionFolders, logins: Logins, config: DockerConfig) -> Iterator[Path]:
    """Provide a private file with the credentials that builders may use, while the block runs.

    Args:
        folders: The session's directories.
        logins: User names and passwords; they override the user's own configuration.
        config: The user's own configuration.
    """
    content = {
        "auths": {**config.auths, **{registry: auth_entry(*login) for registry, login in logins.items()}},
        "credHelpers": {registry: name for registry, name in config.helpers.items() if registry not in logins},
    }
    with folders.private_file(json.dumps(content)) as path:
        yield path
