"""A container as a value: an image of the store, how it runs, and how registries are reached for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.rules.platforms import Platform, host_platform

_OTHER_KEYS = ("Volumes", "StopSignal", "StopTimeout", "Healthcheck", "Shell", "OnBuild", "ArgsEscaped")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The `config` object of an image: how a container of it runs.

    Attributes:
        env: Variables in their order.
        labels: Labels by name.
        user: The user that runs commands; root if empty.
        workdir: Where commands run; `/` if empty.
        entrypoint: What precedes every command; None if unset.
        command: The default arguments; None if unset.
        ports: Exposed ports such as `8080/tcp`, in their order.
        others: What the engine does not use but keeps: volumes, health check, stop signal, shell.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    ports: tuple[str, ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> RunConfig:
        """Read the `config` object of an image."""
        entrypoint, command = config.get("Entrypoint"), config.get("Cmd")
        pairs = (pair.partition("=") for pair in config.get("Env") or ())
        return cls(
            env={name: value for name, _, value in pairs},
            labels=config.get("Labels") or {},
            user=config.get("User") or "",
            workdir=config.get("WorkingDir") or "",
            entrypoint=tuple(entrypoint) if entrypoint else None,
            command=tuple(command) if command else None,
            ports=tuple(config.get("ExposedPorts") or ()),
            others={key: config[key] for key in _OTHER_KEYS if config.get(key)},
        )

    def written(self) -> dict[str, Any]:
        """Return the `config` object of an image, without what is unset."""
        config: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in sorted(self.ports)},
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "Entrypoint": list(self.entrypoint or ()),
            "Cmd": list(self.command or ()),
            "WorkingDir": self.workdir,
            "Labels": dict(sorted(self.labels.items())),
            **self.others,
        }
        return {key: value for key, value in config.items() if value}


@dataclass(frozen=True, slots=True)
class ExecResult:
    """The output of a container's last command, with secrets masked."""

    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container.

    Attributes:
        image: The id of the image in the store that is its file system; None for an empty one.
        config: How it runs.
        platform: The platform of its image.
        annotations: The annotations of its manifest.
        logins: User names and passwords by registry.
        last_exec: The result of its last command.
    """

    image: str | None = None
    config: RunConfig = field(default_factory=RunConfig)
    platform: Platform = field(default_factory=host_platform)
    annotations: Mapping[str, str] = field(default_factory=dict)
    logins: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    last_exec: ExecResult | None = None

    def configured(self, **changes: Any) -> ContainerState:  # noqa: ANN401 - the fields of RunConfig
        """Return the container with changes of its configuration."""
        return replace(self, config=replace(self.config, **changes))
