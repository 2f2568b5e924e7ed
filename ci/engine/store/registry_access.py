"""How builders reach registries: by which names, over plain HTTP or TLS, and with which credentials."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ci.engine.errors import QueryFailedError
from ci.engine.store.session_folders import SessionFolders
from ci.system.docker_config import DockerConfig, auth_entry
from pipeline.rules.image_name import Reference, is_loopback, parse_reference

Logins = Mapping[str, tuple[str, str]]
"""User names and passwords by registry."""

_UNREACHED = re.compile(r"pinging container registry (\S+): (?:Get \S+: )?(.*)", re.DOTALL)
_UNREAD = re.compile(r"(?:reading manifest|fetching) (\S+) in (\S+): (.*)", re.DOTALL)
_ABSENT = re.compile(r"manifest unknown|name unknown|not found", re.IGNORECASE)


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


def pull_failure(reason: str) -> str | None:
    """Return what a builder's message about an image that it cannot pull means, or None if it is not such a message.

    Args:
        reason: Such as `initializing source docker://…: pinging container registry HOST: …`.
    """
    if found := _UNREACHED.search(reason):
        return f"the registry {found[1]} could not be reached: {found[2]}"
    if found := _UNREAD.search(reason):
        host, _, repository = found[2].partition("/")
        separator = "@" if ":" in found[1] else ":"
        image = f"{found[2]}{separator}{found[1]}"
        if _ABSENT.search(found[3]):
            return f"the image {image} was not found in the registry {host}"
        return f"the registry {host} refused to read {repository}{separator}{found[1]}: {found[3]}"
    return None


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
