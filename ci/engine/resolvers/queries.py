"""Fields at the top of a query and of the host."""

from __future__ import annotations

from ci.engine.errors import NotServedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.secrets import SecretValue
from ci.engine.protocol.session import Session
from ci.engine.resolvers.files import FileState
from ci.engine.store.containers import ContainerState, host_platform
from ci.engine.store.snapshots import Snapshot
from ci.system.dagger_version import DAGGER_VERSION

VERSION = f"{DAGGER_VERSION}-embedded"


@OPERATIONS.serves("Query.version")
async def version(_session: Session, _query: None) -> str:
    """The version whose API is served, and by whom."""
    return VERSION


@OPERATIONS.serves("Query.defaultPlatform")
async def default_platform(_session: Session, _query: None) -> str:
    """This machine's platform."""
    return host_platform()


def check_platform(field: str, platform: str | None) -> None:
    """Refuse a platform that this machine does not run by itself.

    Raises:
        NotServedError: It is not the machine's own.
    """
    if platform is not None and platform != host_platform():
        what = f"{field}(platform: {platform!r}) on a {host_platform()} machine"
        raise NotServedError(what)


@OPERATIONS.serves("Query.container")
async def container(_session: Session, _query: None, *, platform: str | None = None) -> ContainerState:
    """A container with nothing in it."""
    check_platform("Query.container", platform)
    return ContainerState()


@OPERATIONS.serves("Query.directory")
async def directory(session: Session, _query: None) -> Snapshot:
    """A directory with nothing in it."""
    return await session.snapshots.empty()


@OPERATIONS.serves("Query.file")
async def file(session: Session, _query: None, *, name: str, contents: str, permissions: int) -> FileState:
    """A file with these contents."""
    empty = await session.snapshots.empty()
    return FileState(await empty.with_new_file(name, contents, permissions), name)


@OPERATIONS.serves("Query.setSecret")
async def set_secret(session: Session, _query: None, *, name: str, plaintext: str) -> Call:
    """A secret that is handed in; its description holds a key in place of the plaintext."""
    return Call("Secret", "Session.keptSecret", None, {"key": session.secrets.keep(name, plaintext)})


@OPERATIONS.serves("Session.keptSecret")
async def kept_secret(session: Session, _query: None, *, key: str) -> SecretValue:
    """The secret that was handed in."""
    return session.secrets.kept(key)


@OPERATIONS.serves("Query.secret")
async def secret(session: Session, _query: None, *, uri: str) -> SecretValue:
    """A secret of the caller's machine."""
    return await session.secrets.read(uri)


@OPERATIONS.serves("Secret.name")
async def secret_name(_session: Session, secret: SecretValue) -> str:
    """Its name."""
    return secret.name


@OPERATIONS.serves("Secret.uri")
async def secret_uri(_session: Session, secret: SecretValue) -> str:
    """Where it comes from."""
    return secret.uri


@OPERATIONS.serves("Secret.plaintext")
async def secret_plaintext(_session: Session, secret: SecretValue) -> str:
    """What is secret."""
    return secret.plaintext


@OPERATIONS.serves("Query.cacheVolume")
async def cache_volume(_session: Session, _query: None, *, key: str) -> str:
    """The key of a cache volume."""
    return key


@OPERATIONS.serves("Query.host")
async def host(_session: Session, _query: None) -> None:
    """The caller's machine."""


@OPERATIONS.serves("Host.directory")
async def host_directory(
    session: Session,
    _host: None,
    *,
    path: str,
    exclude: list[str],
    include: list[str],
    gitignore: bool,
    nonce: str = "",
) -> Snapshot:
    """A folder of the caller's machine as it is now; `nonce` makes each reading without a cache another one."""
    del nonce
    source = session.on_host(path)
    async with session.step(f"read {path}"):
        return await session.snapshots.capture(source, include=include, exclude=exclude, gitignore=gitignore)


@OPERATIONS.serves("Host.file")
async def host_file(session: Session, _host: None, *, path: str, nonce: str = "") -> FileState:
    """A file of the caller's machine as it is now."""
    del nonce
    source = session.on_host(path).resolve()
    empty = await session.snapshots.empty()
    return FileState(await empty.with_file(source.name, source), source.name)
