"""What `docker login` stored is enough to publish; `--token` overrules it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.command import Command, Ended
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry, running

HELPER = "docker-credential-test"


@pytest.fixture(scope="module")
def shared_registry_with_auth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running(tmp_path_factory.mktemp("registry-with-auth"), with_auth=True) as started:
        yield started


@dataclass(frozen=True)
class Laptop:
    """A user's configuration of Docker, and a repository."""

    lr_ci: Command
    workspace: Workspace
    docker: Path
    registry: RunningRegistry

    def configure(self, **content: object) -> None:
        (self.docker / "config.json").write_text(json.dumps(content), encoding="utf-8")

    def add_helper(self, script: str) -> None:
        helper = self.docker / HELPER
        helper.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        helper.chmod(0o755)

    def publish(self, *arguments: str) -> Ended:
        arguments = ("--registry", self.registry.host, *arguments)
        return self.lr_ci.run(self.workspace.folder, "build-and-push", "--owner", "acme", *arguments)


@pytest.fixture
def laptop(
    tmp_path: Path, lr_ci: Command, shared_registry_with_auth: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> Laptop:
    for name in ("XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    docker = tmp_path / "docker"
    docker.mkdir()
    monkeypatch.setenv("PATH", str(docker), prepend=":")
    workspace = Workspace.with_dockerfile(tmp_path / "checkout", f"FROM scratch\nLABEL of={tmp_path.name}\n")
    command = lr_ci.with_variables(DOCKER_CONFIG=str(docker), RIGHT=PASSWORD, WRONG="wrong-password-1")
    return Laptop(command, workspace, docker, shared_registry_with_auth)


def entry(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_an_entry_of_the_file_publishes(laptop: Laptop) -> None:
    laptop.configure(auths={laptop.registry.host: entry(USER, PASSWORD)})
    run = laptop.publish().succeeded()
    assert f"Credentials for {laptop.registry.host}: user '{USER}' in {laptop.docker}/config.json." in run.stderr
    assert PASSWORD not in run.stderr


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_credential_helper_publishes_and_verify_finds_it(laptop: Laptop, setting: str) -> None:
    laptop.configure(**{setting: "test" if setting == "credsStore" else {laptop.registry.host: "test"}})
    answer = json.dumps({"ServerURL": laptop.registry.host, "Username": USER, "Secret": PASSWORD})
    laptop.add_helper(
        f'read -r server; echo "$1 $server" >> {laptop.docker}/calls; [ "$server" = {laptop.registry.host} ] && '
        f"echo '{answer}'"
    )
    run = laptop.publish().succeeded()
    assert f"user '{USER}' in {HELPER}, which {laptop.docker}/config.json refers to." in run.stderr
    assert PASSWORD not in run.stderr
    assert (laptop.docker / "calls").read_text() == f"get {laptop.registry.host}\n"


def test_a_token_overrules_the_configuration(laptop: Laptop) -> None:
    laptop.configure(auths={laptop.registry.host: entry(USER, "wrong-password-1")}, credsStore="test")
    laptop.add_helper(f"touch {laptop.docker}/called; exit 1")
    laptop.publish("--username", USER, "--token", "env:RIGHT").succeeded()
    assert not (laptop.docker / "called").exists()

    laptop.configure(auths={laptop.registry.host: entry(USER, PASSWORD)})
    refused = laptop.publish("--username", USER, "--token", "env:WRONG")
    assert refused.exit_code == 4
    assert f"{laptop.registry.host} refuses these credentials" in refused.error


@pytest.mark.parametrize(
    ("helper", "notice"),
    [(None, f"{HELPER} is not installed."), ("echo hunter2; exit 3", f"{HELPER} failed with exit code 3.")],
)
def test_a_helper_that_fails_is_a_notice_and_the_registry_says_how_to_go_on(
    laptop: Laptop, helper: str | None, notice: str
) -> None:
    laptop.configure(credsStore="test")
    if helper is not None:
        laptop.add_helper(helper)
    run = laptop.publish()
    assert run.exit_code == 4
    assert notice in run.stderr
    assert f"{laptop.registry.host} requires credentials" in run.error
    assert f"docker login {laptop.registry.host} is enough" in run.error
    assert "hunter2" not in run.stderr


def test_a_login_at_another_registry_is_not_sent(laptop: Laptop) -> None:
    laptop.configure(auths={"localhost:1": entry(USER, PASSWORD), "ghcr.io": entry(USER, PASSWORD)})
    run = laptop.publish()
    assert run.exit_code == 4
    assert f"{laptop.registry.host} requires credentials" in run.error
