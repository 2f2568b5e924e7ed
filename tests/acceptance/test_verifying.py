"""What an image must do is read from the image: HEALTHCHECK, exposed ports, command; options overrule it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.command import Command, Ended
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry, free_port

SMALL, SCRATCH = "small", "scratch"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program that serves a port, checks one, waits, or ends."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler is installed")
    target = tmp_path_factory.mktemp("program") / "server"
    source = Path(__file__).with_name("server.c")
    subprocess.run(["cc", "-static", "-o", target, source], check=True, timeout=120)
    return target


@dataclass(frozen=True)
class Verifier:
    """Publishes images of the program, and verifies them."""

    lr_ci: Command
    registry: RunningRegistry
    folder: Path
    program: Path
    base: str

    def verify(self, image: str, lines: str, *arguments: str) -> Ended:
        base = SCRATCH if image == SCRATCH else self.base
        dockerfile = f"FROM {base}\nCOPY server /server\nLABEL of={self.folder.name}\n{lines}\n"
        workspace = Workspace.with_dockerfile(self.folder / "repository", dockerfile)
        shutil.copy(self.program, workspace.folder / "backend" / "server")
        workspace.commit("Add the program")
        where = ("--registry", self.registry.host)
        self.lr_ci.run(workspace.folder, "build-and-push", *where).succeeded()
        return self.lr_ci.run(workspace.folder, "verify", *where, *arguments)


@pytest.fixture
def verifier(
    small_lr_ci: Command, shared_registry: RunningRegistry, tmp_path: Path, program: Path, base: str
) -> Verifier:
    return Verifier(small_lr_ci, shared_registry, tmp_path, program, base)


@pytest.fixture
def port() -> int:
    return free_port()


def passed(run: Ended) -> list[str]:
    return run.succeeded().stdout.splitlines()[1:]


@pytest.mark.parametrize("form", ['["/server", "check", "{}"]', "/server check {}"])
def test_a_healthcheck_must_succeed(verifier: Verifier, port: int, form: str) -> None:
    health = f"HEALTHCHECK --interval=1s --retries=2 CMD {form.format(port)}"
    run = verifier.verify(SMALL, f'{health}\nENTRYPOINT ["/server"]\nCMD ["serve", "{port}"]')
    assert passed(run) == ["HEALTHCHECK: healthy"]


def test_a_healthcheck_that_fails_is_told_after_its_retries(verifier: Verifier, port: int) -> None:
    health = f'HEALTHCHECK --interval=1s --retries=2 CMD ["/server", "check", "{port}"]'
    run = verifier.verify(SMALL, f'{health}\nCMD ["/server", "wait"]')
    assert run.exit_code == 3
    assert "HEALTHCHECK of " in run.error
    assert "the health check exited with 1" in run.error
    assert "do not deploy it" in run.error


def test_a_healthcheck_that_hangs_has_its_time_limit(verifier: Verifier) -> None:
    health = "HEALTHCHECK --interval=1s --timeout=1s --retries=1 CMD sleep 600"
    run = verifier.verify(SMALL, f'{health}\nCMD ["/server", "wait"]')
    assert run.exit_code == 3
    assert "the health check did not end within 1 s" in run.error


def test_an_exposed_port_must_accept_connections(verifier: Verifier, port: int) -> None:
    run = verifier.verify(SMALL, f'EXPOSE {port}\nEXPOSE 9/udp\nCMD ["/server", "serve", "{port}"]', "--json")
    (check,) = json.loads(run.succeeded().stdout)["checks"]
    assert check == {"check": f"port {port}", "result": "accepts connections", "platform": None}


def test_a_server_on_another_port_is_told_early(verifier: Verifier, port: int) -> None:
    run = verifier.verify(SMALL, f'EXPOSE 9\nCMD ["/server", "serve", "{port}"]')
    assert run.exit_code == 3
    assert f"nothing listens on port 9, but the server listens on port {port}" in run.error
    assert "no successful check" not in run.error


def test_options_overrule_the_image(verifier: Verifier, port: int) -> None:
    lines = 'EXPOSE 9\nHEALTHCHECK CMD ["false"]\nCMD ["/server", "serve", "PORT"]'
    run = verifier.verify(SMALL, lines, "--port", str(port), "--command", "/server exit 0")
    assert passed(run) == ["/server exit 0: ", f"port {port}: accepts connections"]


def test_a_command_alone_replaces_the_images_checks(verifier: Verifier) -> None:
    run = verifier.verify(SMALL, 'EXPOSE 9\nCMD ["/server", "wait"]', "--command", "/server exit 0")
    assert passed(run) == ["/server exit 0: "]


@pytest.mark.parametrize("image", [SMALL, SCRATCH])
@pytest.mark.parametrize(
    ("command", "result"), [('"wait"', "still running after 5 s"), ('"exit", "0"', "exited with 0")]
)
def test_an_image_that_says_nothing_runs_on_or_ends_well(
    verifier: Verifier, image: str, command: str, result: str
) -> None:
    assert passed(verifier.verify(image, f'ENTRYPOINT ["/server"]\nCMD [{command}]')) == [f"start: {result}"]


@pytest.mark.parametrize("image", [SMALL, SCRATCH])
def test_an_image_that_ends_badly_fails(verifier: Verifier, image: str) -> None:
    run = verifier.verify(image, 'CMD ["/server", "exit", "7"]')
    assert run.exit_code == 3
    assert "with 7" in run.error


def test_a_server_without_a_shell_is_started_and_its_port_is_not_checked(verifier: Verifier, port: int) -> None:
    run = verifier.verify(SCRATCH, f'EXPOSE {port}\nCMD ["/server", "serve", "{port}"]')
    assert passed(run) == [
        f"port {port}: not checked, as the image has no /bin/sh; its command: still running after 5 s"
    ]


def test_a_port_that_is_required_cannot_be_checked_without_a_shell(verifier: Verifier, port: int) -> None:
    run = verifier.verify(SCRATCH, 'CMD ["/server", "wait"]', "--port", str(port))
    assert run.exit_code == 3
    assert f"port {port} of " in run.error
    assert "cannot be checked: the image has no /bin/sh" in run.error


def test_a_path_needs_a_port(verifier: Verifier) -> None:
    run = verifier.verify(SMALL, 'CMD ["/server", "wait"]', "--path", "/up")
    assert run.exit_code == 2
    assert "The image exposes no port to request /up from." in run.error


def test_an_image_without_a_command_is_reported(verifier: Verifier) -> None:
    run = verifier.verify(SCRATCH, "")
    assert run.exit_code == 3
    assert "neither ENTRYPOINT nor CMD" in run.error


def test_a_port_in_use_by_another_program_is_reported(verifier: Verifier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = verifier.verify(SMALL, f'EXPOSE {port}\nCMD ["/server", "serve", "{port}"]')
    assert run.exit_code == 3
    assert f"port {port} answers before the server is started" in run.error


def test_a_path_needs_a_client_in_the_image(verifier: Verifier, port: int) -> None:
    run = verifier.verify(SMALL, f'EXPOSE {port}\nCMD ["/server", "serve", "{port}"]', "--path", "/up")
    assert run.exit_code == 3
    assert "the image has no curl, wget, ruby or python3 to send a request with" in run.error
