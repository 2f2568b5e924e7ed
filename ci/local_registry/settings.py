"""Where the local registry listens and keeps its data, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ci.system.folders import registry_folder
from pipeline.rules.errors import UsageError

DEFAULT_PORT = 5001
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """One local registry: a port of this machine and a folder.

    Attributes:
        port: The TCP port on 127.0.0.1; nothing else is ever listened on.
        folder: Holds the images, the configuration, the logs and the process id.
        htpasswd: A file of `user:bcrypt` lines, which makes the registry ask for credentials; None for open to all
            on this machine.
    """

    port: int = DEFAULT_PORT
    folder: Path = field(default_factory=registry_folder)
    htpasswd: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.port <= _HIGHEST_PORT:
            msg = f"Port {self.port} is none: a local registry needs one from 1 to {_HIGHEST_PORT}."
            raise UsageError(msg)

    @property
    def host(self) -> str:
        """The registry's part of an image reference, `localhost:PORT`."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """The base URL of its HTTP API, without a slash at the end."""
        return f"http://{self.host}"

    @property
    def password_file(self) -> Path | None:
        """The password file, whatever folder the registry is started in."""
        return None if self.htpasswd is None else self.htpasswd.absolute()

    @property
    def data_folder(self) -> Path:
        """The images."""
        return self.folder / "data"

    @property
    def config_file(self) -> Path:
        """What docker-registry is started with; readable by its owner alone."""
        return self.folder / "config.yml"

    @property
    def log_file(self) -> Path:
        """The access log, one line a request; `read_access_log` parses it."""
        return self.folder / "access.log"

    @property
    def server_log(self) -> Path:
        """What docker-registry says of itself, one JSON object a line."""
        return self.folder / "server.log"

    @property
    def pid_file(self) -> Path:
        """The record of the running process."""
        return self.folder / "registry.pid"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStatus:
    """What the local registry is doing.

    Attributes:
        running: Whether its process lives.
        url: The base URL of its API, whether it runs or not.
        host: The same as the first part of an image reference.
        port: The port that it runs on, or would run on.
        pid: Its process id while it runs.
        data_bytes: Size of all blobs on disk.
        repositories: Number of repositories that hold at least one image.
        asks_for_password: Whether it runs and lets in only who has a password.
    """

    running: bool
    url: str
    host: str
    port: int
    pid: int | None
    data_bytes: int
    repositories: int
    asks_for_password: bool = False
