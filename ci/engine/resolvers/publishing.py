"""Fields of `Container` that transfer images: from registries, to registries, and to files of the host."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anyio import to_thread

from ci.engine.errors import NotServedError, QueryFailedError
from ci.engine.resolvers.host import HostService
from ci.engine.session.descriptions import Description
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.secrets import SecretValue
from ci.engine.session.session import Session
from ci.engine.store.buildah import STALL_SECONDS, TRANSFER_SECONDS, essence
from ci.engine.store.containers import ContainerState
from ci.engine.store.oci_images import OciImage, StoredImage, container_of, stored_image, write_image, write_index
from ci.engine.store.registry_access import Logins, by_digest, credentials_file, image_reference, plain_registries
from ci.system.docker_config import read_docker_config, registry_key
from pipeline.rules.image_name import Reference
from pipeline.rules.platforms import Platform
from pipeline.rules.text import redacted, spellings

_HTTP_PORT = 80
_UNKNOWN_USER = re.compile(r"unauthorized|authentication required", re.IGNORECASE)
_DENIED = re.compile(r"unauthorized|authentication required|denied|no basic auth credentials", re.IGNORECASE)
_STATUS = re.compile(r"\b([45]\d\d) \(([A-Z][A-Za-z '-]+)\)")


@RESOLVERS.field("Container.withRegistryAuth")
async def with_registry_auth(
    session: Session, state: ContainerState, *, address: str, username: str, secret: Description
) -> ContainerState:
    password = (await session.value(secret, SecretValue)).plaintext
    return replace(state, logins={**state.logins, registry_key(address): (username, password)})


@RESOLVERS.field("Container.from")
async def from_(
    session: Session, state: ContainerState, *, address: str, registry_service: Description | None = None
) -> ContainerState:
    name = image_reference(address)
    reached = await _reached(session, name, registry_service)
    logins = _moved(state.logins, name, reached)
    config = await read_docker_config([] if reached.registry in logins else [reached.registry])
    storage = session.buildah.storage
    async with session.step(f"pull {name}"):
        with credentials_file(session.folders, logins, config) as auth:
            environment = storage.environment(auth=auth, plain=plain_registries([reached.registry]))
            image = await session.buildah.pull(by_digest(reached), state.platform, environment)
    return replace(await container_of(session.buildah, image), logins=state.logins)


@RESOLVERS.field("Container.publish")
async def publish(
    session: Session,
    state: ContainerState,
    *,
    address: str,
    platform_variants: Sequence[Description],
    registry_service: Description | None = None,
) -> str:
    name = image_reference(address)
    image = await _assembled(session, state, platform_variants)
    reached = await _reached(session, name, registry_service)
    async with session.step(f"publish {name}"):
        await _push(session, image, reached, _moved(state.logins, name, reached))
    return str(replace(name, digest=image.digest))


@RESOLVERS.field("Container.export")
async def export(
    session: Session, state: ContainerState, *, path: str, platform_variants: Sequence[Description]
) -> str:
    """Write the image as an OCI layout in a tar file."""
    target = session.on_host(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    image = await _assembled(session, state, platform_variants)
    await to_thread.run_sync(_pack, image.layout, target)
    return str(target)


async def _assembled(session: Session, state: ContainerState, variants: Sequence[Description]) -> OciImage:
    """Return the image of a container, or the image index of it and its variants.

    A container that is empty is not part of an index: `dag.container()` is how the SDK publishes variants alone.

    Raises:
        QueryFailedError: Two of them are for the same platform.
    """
    if not variants:
        return await _image(session, state)
    states = [await session.value(variant, ContainerState) for variant in variants]
    if state.image is not None:
        states.insert(0, state)
    images: dict[Platform, OciImage] = {}
    for each in states:
        if any(each.platform.matches(platform) for platform in images):
            msg = f"invalid platform variants: two of them are for {each.platform}"
            raise QueryFailedError(msg)
        images[each.platform] = await _image(session, each)
    return write_index(session.folders, images)


async def _image(session: Session, state: ContainerState) -> OciImage:
    """Return the image of a container; its layers are compressed once per session."""
    buildah, image = session.buildah, state.image
    stored = StoredImage()
    if image is not None:
        stored = await session.single_flight.do(f"layers {image}", lambda: stored_image(buildah, image))
    return write_image(session.folders, state, stored)


async def _push(session: Session, image: OciImage, name: Reference, logins: Logins) -> None:
    buildah = session.buildah
    config = await read_docker_config([] if name.registry in logins else [name.registry])
    with credentials_file(session.folders, logins, config) as auth, session.folders.scratch() as folder:
        done = await buildah.call(
            "copy", "--all", "--quiet", "--policy", buildah.storage.policy, "--preserve-digests",
            "--digestfile", folder / "digest", f"--dest-tls-verify={'false' if name.is_loopback else 'true'}",
            f"oci:{image.layout}", f"docker://{name}",
            time_limit=TRANSFER_SECONDS, stall_limit=STALL_SECONDS, program="skopeo",
            environment=buildah.storage.environment(auth=auth, plain=plain_registries([name.registry])),
        )  # fmt: skip
        if done.exit_code != 0:
            known = any(registry.startswith(name.registry) for registry in logins)
            sent = [secret for login in logins.values() for secret in spellings(*login)]
            reason = redacted(essence(done.stderr), sent)  # a registry may repeat what it was sent
            raise _refused(name, reason, known=known)
        pushed = (folder / "digest").read_text(encoding="ascii").strip()
    if pushed != image.digest:
        msg = f"failed to publish {name}: the registry has {pushed}, but {image.digest} was sent"
        raise QueryFailedError(msg)


def _refused(name: Reference, reason: str, *, known: bool) -> QueryFailedError:
    """Return the error for a failed push, with the texts of a Dagger engine that callers match on."""
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


async def _reached(session: Session, name: Reference, service: Description | None) -> Reference:
    """Return the name by which the host reaches an image whose registry is a service."""
    if service is None:
        return name
    host, _, port = name.registry.partition(":")
    backend = (await session.value(service, HostService)).backend(int(port or _HTTP_PORT))
    if host != "localhost":
        what = f"registryService with the address {name.registry!r} instead of localhost and the service's port"
        raise NotServedError(what)
    return replace(name, registry=backend)


def _moved(logins: Logins, name: Reference, reached: Reference) -> Logins:
    """Return the logins with those for one registry made valid for the one that is reached instead."""
    if name.registry == reached.registry:
        return logins
    return {
        (reached.registry + key.removeprefix(name.registry) if key.split("/")[0] == name.registry else key): pair
        for key, pair in logins.items()
    }


def _pack(layout: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        for path in sorted(layout.rglob("*")):
            archive.add(path, path.relative_to(layout).as_posix(), recursive=False, filter=_undated)


def _undated(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member
