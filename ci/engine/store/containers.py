"""What a container is, as a value: an image of the store, its configuration, and what is mounted when it runs."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from ci.engine.protocol.descriptions import Call
from ci.engine.store.snapshots import Snapshot

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}
_OTHER_KEYS = ("Volumes", "StopSignal", "StopTimeout", "Healthcheck", "Shell", "OnBuild", "ArgsEscaped")


def host_platform() -> str:
    """Return this machine's platform as images name it, `linux/amd64`."""
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an image's configuration that says how it runs.

    Attributes:
        env: Variables in their order.
        labels: Labels by name.
        user: Who commands run as; root when empty.
        workdir: Where; `/` when empty.
        entrypoint: What stands before every command; None when unset.
        command: The default arguments; None when unset.
        ports: Exposed ports, `8080/tcp`, in their order.
        others: What the API has no fields for and passes on: volumes, health check, stop signal, shell.
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
    def read(cls, config: Mapping[str, Any]) -> ImageConfig:
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
        """Return the `config` object of an image; what is unset is left out."""
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


class MountKind(StrEnum):
    """What can be mounted into a container."""

    DIRECTORY = "directory"
    FILE = "file"
    CACHE = "cache"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    TEMPORARY = "tmpfs"


@dataclass(frozen=True, slots=True)
class Mount:
    """Something that is at a path while commands run, and never part of the image.

    Attributes:
        path: Where, absolute.
        kind: What.
        snapshot: The directory; for a file, the directory that it is alone in.
        cache: The key of the cache volume.
        secret: The secret.
        read_only: Commands may not write to the directory.
        owner: Whose the secret's file is, `user:group`.
        mode: The permission bits of the secret's file.
        size: Bytes that the temporary folder may hold; no bound when None.
        locked: One command at a time may use the cache.
    """

    path: str
    kind: MountKind
    snapshot: Snapshot | None = None
    cache: str = ""
    secret: Call | None = None
    read_only: bool = False
    owner: str = ""
    mode: int = 0o400
    size: int | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What the last command of a container wrote, with secrets masked, and how it ended."""

    stdout: str
    stderr: str
    combined: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """Credentials for a registry, or for a part of one.

    Attributes:
        address: `ghcr.io`, `ghcr.io/owner` or `localhost:5001`.
        username: Who.
        secret: The password or token.
    """

    address: str
    username: str
    secret: Call


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container at one point of its description.

    Attributes:
        image: The id, in the store, of the image that holds its file system; None for an empty one.
        config: How it runs.
        annotations: What its manifest will say.
        mounts: What is mounted when commands run, in the order in which it was asked for.
        secret_env: Variables that commands get and the image does not, by name.
        auths: Credentials for registries.
        image_ref: The image it was made `from`, with its digest; empty when there is none.
        last_exec: What the last command gave.
    """

    image: str | None = None
    config: ImageConfig = field(default_factory=ImageConfig)
    annotations: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    secret_env: Mapping[str, Call] = field(default_factory=dict)
    auths: tuple[RegistryAuth, ...] = ()
    image_ref: str = ""
    last_exec: ExecResult | None = None

    def configured(self, **changes: Any) -> ContainerState:  # noqa: ANN401 - the fields of ImageConfig
        """Return the container with changes to its configuration."""
        return replace(self, config=replace(self.config, **changes))

    def mounted(self, mount: Mount) -> ContainerState:
        """Return the container with something mounted, in place of what was mounted there."""
        kept = tuple(other for other in self.mounts if other.path != mount.path)
        return replace(self, mounts=(*kept, mount))
