"""Real registries for tests, each on a free port with its data in a temporary directory."""

from __future__ import annotations

import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import bcrypt
import httpx
import pytest

from ci.local_registry.server import down, up
from ci.local_registry.settings import RegistrySettings
from tests.access_log import Request, read_access_log

USER = "tester"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class RunningRegistry:
    """A running registry and its credentials.

    Attributes:
        settings: Its settings.
        user: The user; empty if it requires no credentials.
        password: The user's password.
    """

    settings: RegistrySettings
    user: str = ""
    password: str = ""

    @property
    def host(self) -> str:
        return self.settings.host

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def auth(self) -> tuple[str, str] | None:
        return (self.user, self.password) if self.user else None

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=self.auth, trust_env=False, timeout=10)

    def requests(self) -> list[Request]:
        """Return every request since the registry was started; wait until the log contains them all."""
        mark = f"mark={secrets.token_hex(8)}"
        with httpx.Client(trust_env=False, timeout=10) as client:
            client.get(f"{self.url}/v2/?{mark}")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            requests = read_access_log(self.settings.log_file)
            if any(request.query == mark for request in requests):
                marks = [place for place, request in enumerate(requests) if request.query.startswith("mark=")]
                return [request for place, request in enumerate(requests) if place > marks[0] and place not in marks]
            time.sleep(0.005)
        pytest.fail(f"{self.settings.log_file} does not contain the request {mark}")


def htpasswd_line(user: str, password: str) -> str:
    """Return a line of a password file for docker-registry: bcrypt, with the lowest cost."""
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


def free_port() -> int:
    """Return a free port, outside the range of outgoing connections."""
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    msg = "no port is free"
    raise RuntimeError(msg)


@contextmanager
def running(folder: Path, *, with_auth: bool = False) -> Iterator[RunningRegistry]:
    """Run a registry while the block runs; not inside an event loop."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed; `make setup` installs it")
    htpasswd = None
    if with_auth:
        folder.mkdir(parents=True, exist_ok=True)
        htpasswd = folder / "htpasswd"
        htpasswd.write_text(htpasswd_line(USER, PASSWORD), encoding="utf-8")
    settings = RegistrySettings(port=free_port(), folder=folder, htpasswd=htpasswd)
    anyio.run(up, settings)
    started = RunningRegistry(settings, USER, PASSWORD) if with_auth else RunningRegistry(settings)
    try:
        started.requests()  # leaves a mark: the test's own requests come after it
        yield started
    finally:
        anyio.run(down, settings)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    """An empty registry that requires no credentials."""
    with running(tmp_path / "registry") as started:
        yield started


@pytest.fixture
def registry_with_auth(tmp_path: Path) -> Iterator[RunningRegistry]:
    """An empty registry with one user."""
    with running(tmp_path / "registry-with-auth", with_auth=True) as started:
        yield started


@pytest.fixture(scope="session")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """One registry for all tests that do not depend on an empty one."""
    with running(tmp_path_factory.mktemp("shared-registry")) as started:
        yield started
