"""Reads a user's logins at registries from Docker's configuration: `auths`, `credHelpers` and `credsStore`.

The format is described at https://docs.docker.com/reference/cli/docker/login/ ("Credential stores"). In one file, a
helper for the registry comes before the credential store, and that before an entry of the file itself, as in Docker.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ci.system.credential_helpers import (
    IDENTITY_TOKEN_USER,
    HelperError,
    HelperLogin,
    ask_helper,
    helper_program,
)
from pipeline.rules.image_name import HUB, HUB_API

_HUB_SERVER = "https://index.docker.io/v1/"
_HUB_KEYS = frozenset({_HUB_SERVER, "index.docker.io", HUB_API})


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    auth: str | None = Field(None, repr=False)
    identitytoken: str | None = Field(None, repr=False)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True)

    auths: dict[str, _Entry] | None = None
    helpers: dict[str, str] | None = Field(None, alias="credHelpers")
    store: str = Field("", alias="credsStore")

    def entries(self) -> dict[str, _Entry]:
        """Return the entries that hold something, by registry or a part of one."""
        return {
            registry_key(key): entry for key, entry in (self.auths or {}).items() if entry.auth or entry.identitytoken
        }

    def helper(self, registry: str) -> str | None:
        """Return the helper that holds the login at a registry."""
        named = {registry_key(server): name for server, name in (self.helpers or {}).items()}
        return named.get(registry) or self.store or None


@dataclass(frozen=True, slots=True)
class Login:
    """A user's login at a registry.

    Attributes:
        username: The user.
        password: The password or token.
        place: Where it is stored: a file, or a helper and the file that refers to it.
    """

    username: str
    password: SecretStr
    place: str


@dataclass(frozen=True, slots=True)
class LoginSearch:
    """What was found about a registry.

    Attributes:
        login: The login; None if there is none.
        problems: What could not be used, a sentence each.
    """

    login: Login | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The user's credentials for registries, as builders read them.

    Attributes:
        auths: Entries with `auth`, the base64 of `USER:PASSWORD`, by registry.
        helpers: The names of credential helpers by registry: `ecr-login` is `docker-credential-ecr-login`.
    """

    auths: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)


async def find_login(registry: str, repository: str = "") -> LoginSearch:
    """Search the files of Docker and its relatives for a login; the first that has one is used.

    Args:
        registry: The registry: a host with an optional port.
        repository: The repository in it, for entries that are for a part of a registry.
    """
    problems: list[str] = []
    for path in reversed(_files()):
        try:
            content = _read(path)
        except ValueError as error:
            problems.append(f"{path} is ignored: {error}.")
            continue
        login = await _login_by_helper(path, content, registry, problems) or _login_in_file(
            path, content, registry, repository, problems
        )
        if login is not None:
            return LoginSearch(login, tuple(problems))
    return LoginSearch(None, tuple(problems))


async def read_docker_config(registries: Sequence[str] = ()) -> DockerConfig:
    """Read the files of Docker and its relatives for a builder; a missing or invalid one counts as empty.

    Args:
        registries: The registries to query a credential store for; a builder queries helpers itself.
    """
    auths: dict[str, Mapping[str, str]] = {}
    helpers: dict[str, str] = {}
    for path in _files():
        try:
            content = _read(path)
        except ValueError:
            continue
        auths |= {key: entry.model_dump(exclude_none=True) for key, entry in content.entries().items()}
        helpers |= content.helpers or {}
        store = content.store
        for registry in registries if store else ():
            if content.helper(registry) == store and (entry := await _stored(store, registry)) is not None:
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
    files: list[Path] = []
    with suppress(RuntimeError):  # a user without a home
        files.append(Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        files.append(Path(runtime, "containers", "auth.json"))
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        files.append(Path(named))
    return files


def _read(path: Path) -> _File:
    """Read a file; a missing one is empty.

    Raises:
        ValueError: It cannot be read, or is not valid; the message has nothing of its content.
    """
    # Raised outside of `except`: a cause could contain the content.
    try:
        return _File.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return _File()
    except OSError as error:
        reason = f"it cannot be read ({type(error).__name__})"
    except ValidationError:
        reason = "it is not a valid Docker configuration"
    raise ValueError(reason)


async def _login_by_helper(path: Path, content: _File, registry: str, problems: list[str]) -> Login | None:
    name = content.helper(registry)
    if name is None:
        return None
    try:
        found = await ask_helper(name, _server(registry))
    except HelperError as error:
        problems.append(f"No login at {registry} by the credential helper that {path} refers to: {error}.")
        return None
    place = f"{helper_program(name)}, which {path} refers to"
    if found is None:
        return None
    if found.username == IDENTITY_TOKEN_USER:
        problems.append(_unsupported(registry, place))
        return None
    return Login(found.username, found.secret, place)


def _login_in_file(path: Path, content: _File, registry: str, repository: str, problems: list[str]) -> Login | None:
    entries = content.entries()
    key = f"{registry}/{repository}".rstrip("/")
    while key not in entries and "/" in key:
        key = key.rpartition("/")[0]
    entry = entries.get(key)
    if entry is None:
        return None
    if entry.identitytoken:
        problems.append(_unsupported(registry, str(path)))
        return None
    try:
        text = base64.b64decode(entry.auth or "", validate=True).decode()
    except ValueError:
        text = ""
    username, _, password = text.partition(":")
    password = password.rstrip("\0")  # some versions of Docker pad it
    if not (username and password):
        problems.append(f"The entry for {key} in {path} is not valid: log in again with docker login {registry}.")
        return None
    return Login(username, SecretStr(password), str(path))


def _unsupported(registry: str, place: str) -> str:
    return f"The login at {registry} is an identity token ({place}), which is not supported: use --token."


async def _stored(store: str, registry: str) -> dict[str, str] | None:
    try:
        found = await ask_helper(store, _server(registry))
    except HelperError:
        return None
    return None if found is None else _entry_of(found)


def _entry_of(found: HelperLogin) -> dict[str, str]:
    secret = found.secret.get_secret_value()
    if found.username == IDENTITY_TOKEN_USER:
        return {**auth_entry(found.username, ""), "identitytoken": secret}
    return auth_entry(found.username, secret)


def _server(registry: str) -> str:
    """Return a registry as Docker spells it for helpers."""
    return _HUB_SERVER if registry == HUB else registry
