from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ci.local_registry.settings import DEFAULT_PORT
from tests.ci.cli.command import Ended, lr_ci
from tests.registry_fixtures import PASSWORD, USER, free_port, htpasswd_line

pytestmark = pytest.mark.registry

FIELDS = {"running", "url", "host", "port", "pid", "data_bytes", "repositories", "asks_for_password"}


class Registry:
    """`lr-ci registry` with a cache folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def run(self, *arguments: str) -> Ended:
        return lr_ci(self.folder, "registry", *arguments, cache=self.folder)

    def up(self, *arguments: str) -> Ended:
        return self.run("up", "--port", str(self.port), *arguments)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path)
    yield made
    made.run("down")


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_it_starts_tells_where_it_is_and_stops(registry: Registry) -> None:
    host = f"localhost:{registry.port}"
    assert registry.up() == Ended(0, f"{host} is running (0 repositories, 0 MiB)\n", "")
    assert httpx.get(f"http://{host}/v2/", trust_env=False).status_code == 200
    assert registry.run("status") == Ended(0, f"{host} is running (0 repositories, 0 MiB)\n", "")
    assert registry.run("down") == Ended(0, "not running (0 repositories, 0 MiB)\n", "")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{host}/v2/", trust_env=False)


def test_json_says_the_same_of_each_command(registry: Registry) -> None:
    up = json.loads(registry.up("--json").stdout)
    assert set(up) == FIELDS
    assert (up["running"], up["port"], up["host"]) == (True, registry.port, f"localhost:{registry.port}")
    assert up["url"] == f"http://localhost:{registry.port}"
    os.kill(up["pid"], 0)
    assert json.loads(registry.run("status", "--json").stdout) == up
    down = json.loads(registry.run("down", "--json").stdout)
    assert set(down) == FIELDS
    assert (down["running"], down["pid"]) == (False, None)


def test_starting_it_again_finds_it_running(registry: Registry) -> None:
    first, second = json.loads(registry.up("--json").stdout), json.loads(registry.up("--json").stdout)
    assert first["pid"] == second["pid"]


def test_stopping_and_looking_need_it_never_to_have_run(registry: Registry) -> None:
    for command in ("down", "status"):
        assert registry.run(command) == Ended(0, "not running (0 repositories, 0 MiB)\n", "")
    assert json.loads(registry.run("status", "--json").stdout)["port"] == DEFAULT_PORT


def test_a_port_that_something_else_has_is_an_error_of_the_network(registry: Registry) -> None:
    with listening() as registry.port:
        run = registry.up()
    assert run.exit_code == 5
    assert run.complaint == [
        f"error: Port {registry.port} is already in use by another program.",
        "Choose a free port with --port, or stop the program that listens there.",
    ]
    assert registry.run("status").stdout.startswith("not running")


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_that_there_is_not_is_bad_usage(registry: Registry, port: str) -> None:
    run = registry.run("up", "--port", port)
    assert run.exit_code == 2
    assert len(run.complaint) in {1, 2}


def test_it_asks_for_the_users_of_a_file(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "users").write_text(htpasswd_line(USER, PASSWORD), encoding="utf-8")
    assert registry.up("--htpasswd", "users").exit_code == 0
    url = f"http://localhost:{registry.port}/v2/"
    assert httpx.get(url, trust_env=False).status_code == 401
    assert httpx.get(url, trust_env=False, auth=(USER, PASSWORD)).status_code == 200


def test_users_of_a_file_that_is_not_there_are_bad_usage(registry: Registry, tmp_path: Path) -> None:
    run = registry.up("--htpasswd", "nobody")
    assert run.exit_code == 2
    assert f"{tmp_path}/nobody" in run.complaint[0]


def test_a_registry_that_is_not_installed_says_what_to_do(registry: Registry) -> None:
    run = lr_ci(
        registry.folder, "registry", "up", "--port", str(registry.port), cache=registry.folder, env={"PATH": "/nothing"}
    )
    assert run.exit_code == 5
    assert "docker-registry is not installed" in run.complaint[0]
    assert "make setup" in run.complaint[1]
