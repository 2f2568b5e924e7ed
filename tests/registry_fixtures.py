"""Real registries for tests: each on a free port with its data in a folder that is thrown away."""

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
    """A registry that runs, and how to get in.

    Attributes:
        settings: Where it is.
        user: Who may log in; empty when all may do all.
        password: The user's.
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
        """Return every request since the fixture handed it out; waits until the log holds them all."""
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
        pytest.fail(f"{self.settings.log_file} does not show the request {mark}")


def htpasswd_line(user: str, password: str) -> str:
    """Return a line of a password file as docker-registry wants it: bcrypt, at its lowest cost."""
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


def free_port() -> int:
    """Return a port that nothing listened on a moment ago, and that no outgoing connection is given."""
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
    """Run a registry for the length of a block; usable outside of an event loop only."""
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
        started.requests()  # leaves its mark, behind which the test's own begin
        yield started
    finally:
        anyio.run(down, settings)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    """An empty registry that is open to all."""
    with running(tmp_path / "registry") as started:
        yield started


@pytest.fixture
def registry_with_auth(tmp_path: Path) -> Iterator[RunningRegistry]:
    """An empty registry that lets one user in."""
    with running(tmp_path / "registry-with-auth", with_auth=True) as started:
        yield started


@pytest.fixture(scope="session")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """One registry for all tests that do not mind what others put there."""
    with running(tmp_path_factory.mktemp("shared-registry")) as started:
        yield started
