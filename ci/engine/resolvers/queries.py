"""Fields of `Query` and `Secret`."""

from __future__ import annotations

from ci.engine.resolvers.files import FileState
from ci.engine.resolvers.platforms import read_platform
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.secrets import SecretValue
from ci.engine.session.session import Session
from ci.engine.store.containers import ContainerState
from ci.system.dagger_version import DAGGER_VERSION
from pipeline.rules.platforms import host_platform


@RESOLVERS.field("Query.version")
async def version(_session: Session, _query: None) -> str:
    return f"{DAGGER_VERSION}-embedded"


@RESOLVERS.field("Query.defaultPlatform")
async def default_platform(_session: Session, _query: None) -> str:
    return str(host_platform())


@RESOLVERS.field("Query.container")
async def container(_session: Session, _query: None, *, platform: str | None = None) -> ContainerState:
    return ContainerState() if platform is None else ContainerState(platform=read_platform(platform))


@RESOLVERS.field("Query.file")
async def file(session: Session, _query: None, *, name: str, contents: str, permissions: int) -> FileState:
    return FileState(await session.snapshots.with_new_file(name, contents, permissions), name)


@RESOLVERS.field("Query.host")
async def host(_session: Session, _query: None) -> None:
    return None


@RESOLVERS.field("Query.setSecret")
async def set_secret(session: Session, _query: None, *, name: str, plaintext: str) -> SecretValue:
    """Return a secret; `plaintext` is its key in the session's secrets, as the schema marks it `@secret`."""
    return SecretValue(name, session.secrets.kept(plaintext))


@RESOLVERS.field("Query.secret")
async def secret(session: Session, _query: None, *, uri: str) -> SecretValue:
    return SecretValue("", await session.secrets.read(uri))


@RESOLVERS.field("Secret.plaintext")
async def plaintext(_session: Session, secret: SecretValue) -> str:
    return secret.plaintext
