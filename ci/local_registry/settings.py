"""The local registry's settings and status: its port, its directory and the files in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ci.system.folders import registry_folder
from pipeline.rules.image_name import check_port

DEFAULT_PORT = 5001
"""The local registry's default port, as in the Makefile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """A local registry.

    Attributes:
        port: The TCP port on 127.0.0.1, the only address that it listens on.
        folder: The directory of the images, the configuration, the logs and the pid file.
        htpasswd: A password file of `user:bcrypt` lines; None for a registry that requires no credentials.
    """

    port: int = DEFAULT_PORT
    folder: Path = field(default_factory=registry_folder)
    htpasswd: Path | None = None

    def __post_init__(self) -> None:
        check_port(self.port)

    @property
    def host(self) -> str:
        """The registry in image references, `localhost:PORT`."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """The base URL of its HTTP API, without trailing slash."""
        return f"http://{self.host}"

    @property
    def password_file(self) -> Path | None:
        """The absolute path of the password file."""
        return None if self.htpasswd is None else self.htpasswd.absolute()

    @property
    def data_folder(self) -> Path:
        """The directory of the images."""
        return self.folder / "data"

    @property
    def config_file(self) -> Path:
        """The configuration of docker-registry; only its owner can read it."""
        return self.folder / "config.yml"

    @property
    def log_file(self) -> Path:
        """The access log, one line for each request."""
        return self.folder / "access.log"

    @property
    def server_log(self) -> Path:
        """The log of docker-registry itself, one JSON object for each line."""
        return self.folder / "server.log"

    @property
    def pid_file(self) -> Path:
        """The pid file; see `ProcessRecord`."""
        return self.folder / "registry.pid"


class RegistryStatus(BaseModel):
    """The status of the local registry.

    Attributes:
        running: Whether its process is running.
        url: The base URL of its API, even if it is not running.
        host: The registry in image references.
        port: The port that it listens on, or would listen on.
        pid: Its process id while it is running.
        data_bytes: The size of all blobs on disk.
        repositories: The number of repositories with at least one image.
        asks_for_password: Whether it is running and requires credentials.
    """

    model_config = ConfigDict(frozen=True)

    running: bool
    url: str
    host: str
    port: int
    pid: int | None
    data_bytes: int
    repositories: int
    asks_for_password: bool = False
