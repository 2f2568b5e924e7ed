"""Fields of containers that only read or change how they run: none of them does work on a file system."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.descriptions import Call, literal
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.store.containers import ContainerState, RegistryAuth, host_platform

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_VARIABLE = re.compile(r"\\(\$)|\$(?:\{(\w+)\}|(\w+))")


def expanded(state: ContainerState, text: str, *, expand: bool) -> str:
    """Return the text with `$NAME` and `${NAME}` replaced by the container's variables, if that was asked for."""
    if not expand:
        return text
    return _VARIABLE.sub(lambda found: found[1] or state.config.env.get(found[2] or found[3], ""), text)


def absolute(state: ContainerState, path: str) -> str:
    """Return a path of the container, relative ones starting at its working directory."""
    return posixpath.normpath(posixpath.join("/", state.config.workdir, path))


def _without(mapping: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in mapping.items() if key != name}


@OPERATIONS.serves("Container.platform")
async def platform(_session: Session, _state: ContainerState) -> str:
    """The platform it runs on."""
    return host_platform()


@OPERATIONS.serves("Container.label")
async def label(_session: Session, state: ContainerState, *, name: str) -> str | None:
    """A label."""
    return state.config.labels.get(name)


@OPERATIONS.serves("Container.labels")
async def labels(_session: Session, state: ContainerState) -> list[Call]:
    """All labels."""
    return [literal("Label", name=name, value=value) for name, value in sorted(state.config.labels.items())]


@OPERATIONS.serves("Container.withLabel")
async def with_label(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    """It, with a label."""
    return state.configured(labels={**state.config.labels, name: value})


@OPERATIONS.serves("Container.withoutLabel")
async def without_label(_session: Session, state: ContainerState, *, name: str) -> ContainerState:
    """It, without a label."""
    return state.configured(labels=_without(state.config.labels, name))


@OPERATIONS.serves("Container.withAnnotation")
async def with_annotation(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    """It, with an annotation of its manifest."""
    return replace(state, annotations={**state.annotations, name: value})


@OPERATIONS.serves("Container.withoutAnnotation")
async def without_annotation(_session: Session, state: ContainerState, *, name: str) -> ContainerState:
    """It, without an annotation."""
    return replace(state, annotations=_without(state.annotations, name))


@OPERATIONS.serves("Container.envVariable")
async def env_variable(_session: Session, state: ContainerState, *, name: str) -> str | None:
    """A variable."""
    return state.config.env.get(name)


@OPERATIONS.serves("Container.envVariables")
async def env_variables(_session: Session, state: ContainerState) -> list[Call]:
    """All variables."""
    return [literal("EnvVariable", name=name, value=value) for name, value in state.config.env.items()]


@OPERATIONS.serves("Container.withEnvVariable")
async def with_env_variable(
    _session: Session, state: ContainerState, *, name: str, value: str, expand: bool
) -> ContainerState:
    """It, with a variable."""
    return state.configured(env={**state.config.env, name: expanded(state, value, expand=expand)})


@OPERATIONS.serves("Container.withoutEnvVariable")
async def without_env_variable(_session: Session, state: ContainerState, *, name: str) -> ContainerState:
    """It, without a variable."""
    return state.configured(env=_without(state.config.env, name))


@OPERATIONS.serves("Container.withSecretVariable")
async def with_secret_variable(_session: Session, state: ContainerState, *, name: str, secret: Call) -> ContainerState:
    """It, with a variable that commands get and the image does not."""
    if not _NAME.fullmatch(name):
        msg = f"{name!r} is no name for a variable"
        raise QueryFailedError(msg)
    return replace(state, secret_env={**state.secret_env, name: secret})


@OPERATIONS.serves("Container.withoutSecretVariable")
async def without_secret_variable(_session: Session, state: ContainerState, *, name: str) -> ContainerState:
    """It, without such a variable."""
    return replace(state, secret_env={key: call for key, call in state.secret_env.items() if key != name})


@OPERATIONS.serves("Container.user")
async def user(_session: Session, state: ContainerState) -> str:
    """Who commands run as."""
    return state.config.user


@OPERATIONS.serves("Container.withUser")
async def with_user(_session: Session, state: ContainerState, *, name: str) -> ContainerState:
    """It, with commands run by someone."""
    return state.configured(user=name)


@OPERATIONS.serves("Container.withoutUser")
async def without_user(_session: Session, state: ContainerState) -> ContainerState:
    """It, with commands run by root."""
    return state.configured(user="")


@OPERATIONS.serves("Container.workdir")
async def workdir(_session: Session, state: ContainerState) -> str:
    """Where commands run."""
    return state.config.workdir or "/"


@OPERATIONS.serves("Container.withWorkdir")
async def with_workdir(_session: Session, state: ContainerState, *, path: str, expand: bool) -> ContainerState:
    """It, with commands run somewhere."""
    return state.configured(workdir=absolute(state, expanded(state, path, expand=expand)))


@OPERATIONS.serves("Container.withoutWorkdir")
async def without_workdir(_session: Session, state: ContainerState) -> ContainerState:
    """It, with commands run at the root."""
    return state.configured(workdir="")


@OPERATIONS.serves("Container.entrypoint")
async def entrypoint(_session: Session, state: ContainerState) -> list[str]:
    """What stands before commands."""
    return list(state.config.entrypoint or ())


@OPERATIONS.serves("Container.withEntrypoint")
async def with_entrypoint(
    _session: Session, state: ContainerState, *, args: list[str], keep_default_args: bool
) -> ContainerState:
    """It, with an entrypoint; the default arguments, which belonged to the old one, go."""
    command = state.config.command if keep_default_args else None
    return state.configured(entrypoint=tuple(args), command=command)


@OPERATIONS.serves("Container.withoutEntrypoint")
async def without_entrypoint(_session: Session, state: ContainerState, *, keep_default_args: bool) -> ContainerState:
    """It, without an entrypoint."""
    return state.configured(entrypoint=None, command=state.config.command if keep_default_args else None)


@OPERATIONS.serves("Container.defaultArgs")
async def default_args(_session: Session, state: ContainerState) -> list[str]:
    """The default arguments."""
    return list(state.config.command or ())


@OPERATIONS.serves("Container.withDefaultArgs")
async def with_default_args(_session: Session, state: ContainerState, *, args: list[str]) -> ContainerState:
    """It, with default arguments."""
    return state.configured(command=tuple(args))


@OPERATIONS.serves("Container.withoutDefaultArgs")
async def without_default_args(_session: Session, state: ContainerState) -> ContainerState:
    """It, without default arguments."""
    return state.configured(command=None)


@OPERATIONS.serves("Container.exposedPorts")
async def exposed_ports(_session: Session, state: ContainerState) -> list[Call]:
    """The ports it listens on."""
    pairs = (port.partition("/") for port in state.config.ports)
    return [
        literal("Port", port=int(number), protocol=(protocol or "tcp").upper(), description=None)
        for number, _, protocol in pairs
    ]


@OPERATIONS.serves("Container.withExposedPort")
async def with_exposed_port(_session: Session, state: ContainerState, *, port: int, protocol: str) -> ContainerState:
    """It, with a port."""
    added = f"{port}/{protocol.lower()}"
    return state.configured(ports=(*(other for other in state.config.ports if other != added), added))


@OPERATIONS.serves("Container.withoutExposedPort")
async def without_exposed_port(_session: Session, state: ContainerState, *, port: int, protocol: str) -> ContainerState:
    """It, without a port."""
    gone = f"{port}/{protocol.lower()}"
    return state.configured(ports=tuple(other for other in state.config.ports if other != gone))


@OPERATIONS.serves("Container.withRegistryAuth")
async def with_registry_auth(
    _session: Session, state: ContainerState, *, address: str, username: str, secret: Call
) -> ContainerState:
    """It, with credentials for a registry."""
    kept = tuple(auth for auth in state.auths if auth.address != address)
    return replace(state, auths=(*kept, RegistryAuth(address, username, secret)))


@OPERATIONS.serves("Container.withoutRegistryAuth")
async def without_registry_auth(_session: Session, state: ContainerState, *, address: str) -> ContainerState:
    """It, without credentials for a registry."""
    return replace(state, auths=tuple(auth for auth in state.auths if auth.address != address))


@OPERATIONS.serves("Container.imageRef")
async def image_ref(_session: Session, state: ContainerState) -> str:
    """The image it was made from, as long as nothing has changed in it."""
    if not state.image_ref:
        msg = "Image reference can only be retrieved immediately after the 'Container.From' call"
        raise QueryFailedError(msg)
    return state.image_ref
