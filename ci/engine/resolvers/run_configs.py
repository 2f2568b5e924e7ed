"""Fields of `Container` that read or change its configuration, and those of the objects that these return."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ci.engine.errors import QueryFailedError
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.containers import ContainerState

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_NANOSECONDS = (3_600_000_000_000, 60_000_000_000, 1_000_000_000, 1_000_000)
_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
}
"""The times of a health check by the names of their arguments, as they are called in an image."""


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A label or a variable."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Port:
    """An exposed port."""

    port: int
    protocol: str


@RESOLVERS.field("Container.label")
async def label(_session: Session, state: ContainerState, *, name: str) -> str | None:
    return state.config.labels.get(name)


@RESOLVERS.field("Container.labels")
async def labels(_session: Session, state: ContainerState) -> tuple[NamedValue, ...]:
    return tuple(NamedValue(name, value) for name, value in state.config.labels.items())


@RESOLVERS.field("Container.withLabel")
async def with_label(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    return state.configured(labels={**state.config.labels, name: value})


@RESOLVERS.field("Container.withAnnotation")
async def with_annotation(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    return replace(state, annotations={**state.annotations, name: value})


@RESOLVERS.field("Container.envVariables")
async def env_variables(_session: Session, state: ContainerState) -> tuple[NamedValue, ...]:
    return tuple(NamedValue(name, value) for name, value in state.config.env.items())


@RESOLVERS.field("Container.withEnvVariable")
async def with_env_variable(_session: Session, state: ContainerState, *, name: str, value: str) -> ContainerState:
    return state.configured(env={**state.config.env, name: value})


@RESOLVERS.field("Label.name")
@RESOLVERS.field("EnvVariable.name")
async def name_of(_session: Session, named: NamedValue) -> str:
    return named.name


@RESOLVERS.field("Label.value")
@RESOLVERS.field("EnvVariable.value")
async def value_of(_session: Session, named: NamedValue) -> str:
    return named.value


@RESOLVERS.field("Container.exposedPorts")
async def exposed_ports(_session: Session, state: ContainerState) -> tuple[Port, ...]:
    pairs = (port.partition("/") for port in state.config.ports)
    return tuple(Port(int(number), (protocol or "tcp").upper()) for number, _, protocol in pairs)


@RESOLVERS.field("Container.withExposedPort")
async def with_exposed_port(_session: Session, state: ContainerState, *, port: int, protocol: str) -> ContainerState:
    return state.configured(ports=(*state.config.ports, f"{port}/{protocol.lower()}"))


@RESOLVERS.field("Port.port")
async def port_of(_session: Session, port: Port) -> int:
    return port.port


@RESOLVERS.field("Port.protocol")
async def protocol_of(_session: Session, port: Port) -> str:
    return port.protocol


@RESOLVERS.field("Container.user")
async def user(_session: Session, state: ContainerState) -> str:
    return state.config.user


@RESOLVERS.field("Container.withUser")
async def with_user(_session: Session, state: ContainerState, *, name: str) -> ContainerState:
    return state.configured(user=name)


@RESOLVERS.field("Container.workdir")
async def workdir(_session: Session, state: ContainerState) -> str:
    return state.config.workdir or "/"


@RESOLVERS.field("Container.withWorkdir")
async def with_workdir(_session: Session, state: ContainerState, *, path: str) -> ContainerState:
    return state.configured(workdir=path)


@RESOLVERS.field("Container.entrypoint")
async def entrypoint(_session: Session, state: ContainerState) -> list[str]:
    return list(state.config.entrypoint or ())


@RESOLVERS.field("Container.withEntrypoint")
async def with_entrypoint(
    _session: Session, state: ContainerState, *, args: Sequence[str], keep_default_args: bool
) -> ContainerState:
    changed = state.configured(entrypoint=tuple(args))
    return changed if keep_default_args else changed.configured(command=None)


@RESOLVERS.field("Container.defaultArgs")
async def default_args(_session: Session, state: ContainerState) -> list[str]:
    return list(state.config.command or ())


@RESOLVERS.field("Container.withDefaultArgs")
async def with_default_args(_session: Session, state: ContainerState, *, args: Sequence[str]) -> ContainerState:
    return state.configured(command=tuple(args))


@RESOLVERS.field("Container.dockerHealthcheck")
async def docker_healthcheck(_session: Session, state: ContainerState) -> dict[str, Any]:
    found: dict[str, Any] = state.config.others.get("Healthcheck") or {}
    return found


@RESOLVERS.field("Container.withDockerHealthcheck")
async def with_docker_healthcheck(
    _session: Session, state: ContainerState, *, args: Sequence[str], shell: bool, retries: int, **times: str
) -> ContainerState:
    health = {"Test": ["CMD-SHELL" if shell else "CMD", *args], "Retries": retries}
    health |= {_TIMES[name]: _nanoseconds(duration) for name, duration in times.items()}
    others = {**state.config.others, "Healthcheck": {key: value for key, value in health.items() if value}}
    return state.configured(others=others)


@RESOLVERS.field("HealthcheckConfig.args")
async def health_args(_session: Session, health: dict[str, Any]) -> list[str]:
    return list(health.get("Test") or ())[1:]


@RESOLVERS.field("HealthcheckConfig.shell")
async def health_shell(_session: Session, health: dict[str, Any]) -> bool:
    return bool(health.get("Test")) and str(health["Test"][0]) == "CMD-SHELL"


@RESOLVERS.field("HealthcheckConfig.retries")
async def health_retries(_session: Session, health: dict[str, Any]) -> int:
    return int(health.get("Retries") or 0)


@RESOLVERS.field("HealthcheckConfig.interval")
async def health_interval(_session: Session, health: dict[str, Any]) -> str:
    return _duration(health, "interval")


@RESOLVERS.field("HealthcheckConfig.timeout")
async def health_timeout(_session: Session, health: dict[str, Any]) -> str:
    return _duration(health, "timeout")


@RESOLVERS.field("HealthcheckConfig.startPeriod")
async def health_start_period(_session: Session, health: dict[str, Any]) -> str:
    return _duration(health, "start_period")


@RESOLVERS.field("HealthcheckConfig.startInterval")
async def health_start_interval(_session: Session, health: dict[str, Any]) -> str:
    return _duration(health, "start_interval")


def _duration(health: dict[str, Any], name: str) -> str:
    return f"{int(health.get(_TIMES[name]) or 0) // 1_000_000}ms"


def _nanoseconds(duration: str) -> int:
    match = _DURATION.fullmatch(duration)
    if match is None:
        msg = f"invalid duration {duration!r}: expected one such as 30s"
        raise QueryFailedError(msg)
    return sum(int(part or 0) * unit for part, unit in zip(match.groups(), _NANOSECONDS, strict=True))
