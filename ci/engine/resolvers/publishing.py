"""Fields of containers that bring images from registries and to them."""

from __future__ import annotations

import re
import tarfile
from dataclasses import replace
from pathlib import Path

from anyio import to_thread

from ci.engine.errors import NotServedError, QueryFailedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.resolvers.files import FileState
from ci.engine.resolvers.services import HostService
from ci.engine.store.buildah import essence
from ci.engine.store.containers import ContainerState
from ci.engine.store.oci_images import OciImage, assemble, read_config
from ci.engine.store.registry_access import ImageName, caller_config, credentials, resolve_auths

_LONG = 3600.0
_UNKNOWN_USER = re.compile(r"unauthorized|authentication required", re.IGNORECASE)
_DENIED = re.compile(r"unauthorized|authentication required|denied|no basic auth credentials", re.IGNORECASE)
_STATUS = re.compile(r"\b([45]\d\d) \(([A-Z][A-Za-z '-]+)\)")
_OCI = "OCIMediaTypes"


@OPERATIONS.serves("Container.from")
async def from_(
    session: Session, state: ContainerState, *, address: str, registry_service: Call | None = None
) -> ContainerState:
    """It, with an image from a registry in place of its file system and configuration."""
    name = ImageName.parse(address)
    reached = await _reached(session, name, registry_service)
    auths = _moved(await resolve_auths(session, state.auths), name, reached)
    storage = session.buildah.storage
    async with session.step(f"pull {name}"):
        with credentials(session, auths, await caller_config([reached.host])) as auth:
            image = await session.buildah.pull(reached.fetched, storage.environment(auth=auth, plain=reached.plain))
    digest = (await session.buildah.inspect(image))["FromImageDigest"]
    config = await read_config(session, image)
    return replace(
        state, image=image, config=config, annotations={}, image_ref=str(replace(name, digest=digest)), last_exec=None
    )


@OPERATIONS.serves("Container.publish")
async def publish(
    session: Session,
    state: ContainerState,
    *,
    address: str,
    media_types: str,
    registry_service: Call | None = None,
) -> str:
    """Push it, and return its name with the digest."""
    _check_media_types("Container.publish", media_types)
    name = ImageName.parse(address)
    image = await assemble(session, state)
    reached = await _reached(session, name, registry_service)
    auths = _moved(await resolve_auths(session, state.auths), name, reached)
    async with session.step(f"publish {name}"):
        await _push(session, image, reached, auths)
    return str(replace(name, digest=image.digest))


@OPERATIONS.serves("Container.asTarball")
async def as_tarball(session: Session, state: ContainerState, *, media_types: str) -> FileState:
    """It as an OCI layout in a tar file."""
    _check_media_types("Container.asTarball", media_types)
    empty = await session.snapshots.empty()
    with session.workspace.scratch() as folder:
        packed = await _packed(session, state, folder / "image.tar")
        return FileState(await empty.with_file(packed.name, packed, 0o600), packed.name)


@OPERATIONS.serves("Container.export")
async def export(session: Session, state: ContainerState, *, path: str, media_types: str) -> str:
    """Write it to the caller's machine, as an OCI layout in a tar file."""
    _check_media_types("Container.export", media_types)
    target = session.on_host(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    await _packed(session, state, target)
    return str(target)


@OPERATIONS.serves("Container.import")
async def import_(session: Session, state: ContainerState, *, source: Call, tag: str) -> ContainerState:
    """It, with the image of a tar file in place of its file system and configuration."""
    archive = await (await session.value(source, FileState)).located()
    kind = "oci-archive" if await to_thread.run_sync(_is_layout, archive) else "docker-archive"
    reference = f"{kind}:{archive}{f':{tag}' if tag else ''}"
    image = await session.buildah.ask(
        "pull", "--quiet", "--signature-policy", session.buildah.storage.policy, reference, time_limit=_LONG
    )
    return replace(state, image=image, config=await read_config(session, image), image_ref="", last_exec=None)


async def _push(session: Session, image: OciImage, name: ImageName, auths: dict[str, tuple[str, str]]) -> None:
    own = await caller_config([name.host])
    with credentials(session, auths, own) as auth, session.workspace.scratch() as folder:
        done = await session.buildah.call(
            "copy", "--quiet", "--policy", session.buildah.storage.policy, "--preserve-digests",
            "--digestfile", folder / "digest", f"--dest-tls-verify={'false' if name.plain else 'true'}",
            f"oci:{image.layout}", f"docker://{name}",
            time_limit=_LONG, program="skopeo",
            environment=session.buildah.storage.environment(auth=auth, plain=name.plain),
        )  # fmt: skip
        if done.exit_code != 0:
            raise _refused(name, essence(done.stderr), known=any(host.startswith(name.host) for host in auths))
        pushed = (folder / "digest").read_text(encoding="ascii").strip()
    if pushed != image.digest:
        msg = f"failed to publish {name}: the registry has {pushed} where {image.digest} was sent"
        raise QueryFailedError(msg)


def _refused(name: ImageName, reason: str, *, known: bool) -> QueryFailedError:
    """Say what the registry said, in a Dagger engine's words where a caller may look for them."""
    reason = _STATUS.sub(r"\g<1> \g<2>", reason)
    if not known and _DENIED.search(reason):
        reason = (
            "push access denied, repository does not exist or may require authorization: "
            f"no basic auth credentials: {reason}"
        )
    elif _UNKNOWN_USER.search(reason):
        reason = f"401 Unauthorized: {reason}"
    elif reason.endswith(": EOF"):
        reason = f"{reason.removesuffix('EOF')}unexpected EOF"
    return QueryFailedError(f"failed to publish {name}: {reason}")


async def _reached(session: Session, name: ImageName, service: Call | None) -> ImageName:
    """Return the name by which this machine reaches an image whose registry is a service."""
    if service is None:
        return name
    host, _, port = name.host.partition(":")
    backend = (await session.value(service, HostService)).backend(int(port or 80))
    if host != "localhost":
        what = f"registryService with the address {name.host!r} instead of localhost and the service's port"
        raise NotServedError(what)
    return replace(name, host=backend)


def _moved(auths: dict[str, tuple[str, str]], name: ImageName, reached: ImageName) -> dict[str, tuple[str, str]]:
    """Return credentials for one registry as those of the one that is asked in its place."""
    if name.host == reached.host:
        return auths
    return {
        (reached.host + key.removeprefix(name.host) if key.split("/")[0] == name.host else key): pair
        for key, pair in auths.items()
    }


def _check_media_types(field: str, media_types: str) -> None:
    if media_types != _OCI:
        what = f"{field}(mediaTypes: {media_types})"
        raise NotServedError(what)


async def _packed(session: Session, state: ContainerState, target: Path) -> Path:
    image = await assemble(session, state)

    def pack() -> None:
        with tarfile.open(target, "w") as archive:
            for path in sorted(image.layout.rglob("*")):
                archive.add(path, path.relative_to(image.layout).as_posix(), recursive=False, filter=_undated)

    await to_thread.run_sync(pack)
    return target


def _undated(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _is_layout(archive: Path) -> bool:
    try:
        with tarfile.open(archive) as opened:
            return any(member.name.removeprefix("./") == "oci-layout" for member in opened)
    except tarfile.TarError as e:
        msg = f"{archive.name!r} is no image: {e}"
        raise QueryFailedError(msg) from e
