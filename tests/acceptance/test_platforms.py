"""Images for several platforms: one index, uploaded once and promoted as any image; programs of another processor."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.system.binfmt import REGISTERED
from tests.acceptance.command import Command
from tests.acceptance.published import Image, uploaded, writes
from tests.acceptance.workspace import Workspace
from tests.preforked import LR_CI
from tests.registry_fixtures import RunningRegistry

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the other processor of these tests is arm64")

BOTH = ("--platform", "linux/arm64,linux/amd64")
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKERFILE = 'FROM scratch\nCOPY program /program\nUSER 7:8\nCMD ["/program"]\n'


def program_for_amd64() -> bytes:
    """Return a program that ends with 0."""
    return _program(62, bytes.fromhex("b83c00000031ff0f05"))  # mov eax, exit; xor edi, edi; syscall


def program_for_arm64() -> bytes:
    """Return a program that creates the directory /made and ends with 0."""
    code = struct.pack(
        "<8I",
        0x92800C60,  # mov x0, AT_FDCWD
        0x100000E1,  # adr x1, path
        0xD2803DA2,  # mov x2, 0755
        0xD2800448,  # mov x8, mkdirat
        0xD4000001,  # svc 0
        0xD2800000,  # mov x0, 0
        0xD2800BA8,  # mov x8, exit
        0xD4000001,  # svc 0
    )
    return _program(183, code + b"/made\0")


def _program(machine: int, code: bytes) -> bytes:
    """Return a static ELF program with one segment."""
    base, header, entry = 0x400000, 64, 64 + 56
    size = entry + len(code)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    elf = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, machine, 1, base + entry, header, 0, 0, header, 56, 1, 0, 0, 0)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


@dataclass(frozen=True)
class Built:
    """A repository with a program, and the registry that its image goes to."""

    lr_ci: Command
    workspace: Workspace
    image: Image

    def run(self, *arguments: str) -> str:
        return self.lr_ci.run(self.workspace.folder, *arguments).succeeded().stdout

    def index(self, tag: str) -> list[dict[str, object]]:
        with self.image.registry.client() as client:
            address = f"/v2/{self.image.repository}/manifests/{tag}"
            found: list[dict[str, object]] = client.get(address, headers={"accept": INDEX}).json()["manifests"]
        return found


@pytest.fixture
def built(small_lr_ci: Command, registry: RunningRegistry, tmp_path: Path) -> Built:
    workspace = Workspace.with_dockerfile(tmp_path / "repository", DOCKERFILE)
    (workspace.folder / "backend" / "program").write_bytes(program_for_amd64())
    (workspace.folder / "backend" / "program").chmod(0o755)
    workspace.commit("Add the program")
    return Built(small_lr_ci.with_variables(LR_CI_REGISTRY=registry.host), workspace, Image(registry))


def test_a_machine_with_another_processor_publishes_what_the_server_can_run(built: Built) -> None:
    # The kernel lets a process see another processor, as a stand-in for a laptop.
    command = ["setarch", "i686", "--", str(LR_CI), "build-and-push", "--json"]
    laptop = subprocess.run(
        command, cwd=built.workspace.folder, env=built.lr_ci.environment, capture_output=True, text=True, check=False
    )
    assert laptop.returncode == 0, laptop.stderr
    assert json.loads(laptop.stdout)["platform"] == "linux/amd64"

    released = json.loads(built.run("build-and-push", "--ref", "refs/tags/v1.0.0", "--json"))

    assert (released["built"], released["digest"]) == (False, json.loads(laptop.stdout)["digest"])
    assert built.image.config("v1.0.0")["architecture"] == "amd64"


def test_several_platforms_are_one_index_that_is_uploaded_once_and_promoted(built: Built, tmp_path: Path) -> None:
    digest = built.run("build-and-push", *BOTH).strip()
    requests = built.image.registry.requests()
    assert len(uploaded(requests)) == len(set(uploaded(requests)))

    entries = built.index("master")
    assert [each["platform"] for each in entries] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
    ]
    for each in entries:
        config = built.image.config(str(each["digest"]))
        assert {name: config[name] for name in ("os", "architecture")} == each["platform"]
        assert config["config"]["User"] == "7:8"
        assert config["config"]["Labels"]["org.opencontainers.image.revision"] == built.workspace.head

    release = ("--ref", "refs/tags/v1.0.0")
    report = json.loads(built.run("build-and-push", *BOTH, *release, "--json"))
    assert (report["digest"], report["built"], report["platform"]) == (digest, False, "linux/amd64,linux/arm64")
    promoted = built.image.registry.requests()[len(requests) :]
    assert [request.path.rpartition("/")[2] for request in writes(promoted)] == ["v1.0.0", "latest"]

    other = built.lr_ci.run(built.workspace.folder, "build-and-push")
    assert other.exit_code == 6
    assert "the image of this commit for linux/amd64,linux/arm64, not for linux/amd64." in other.error

    built.run("build", *BOTH, "--output", str(tmp_path / "image.tar"))
    with tarfile.open(tmp_path / "image.tar") as archive:
        file = archive.extractfile("index.json")
        assert file is not None
        assert [each["digest"] for each in json.load(file)["manifests"]] == [digest]


def test_verify_runs_what_this_machine_can_and_names_the_rest(built: Built) -> None:
    foreign = ("--platform", "linux/amd64,linux/s390x")
    built.run("build-and-push", *foreign)

    lines = built.run("verify").splitlines()[1:]
    assert lines == [
        "linux/amd64: start: exited with 0",
        "linux/s390x: not run, as the engine has no emulator for it",
    ]
    found = json.loads(built.run("verify", "--json"))
    assert found["checks"] == [{"check": "start", "result": "exited with 0", "platform": "linux/amd64"}]
    assert found["not_run"] == ["linux/s390x"]


def test_an_image_for_another_processor_alone_cannot_be_verified(built: Built) -> None:
    built.run("build-and-push", "--platform", "linux/riscv64,linux/s390x")

    run = built.lr_ci.run(built.workspace.folder, "verify")
    assert run.exit_code == 3
    assert "cannot be run on this engine (linux/amd64): it is for linux/riscv64, linux/s390x." in run.error


def test_a_command_for_another_processor_is_refused_with_the_way_out(built: Built) -> None:
    built.workspace.append("backend/Dockerfile", 'RUN ["/program"]\n')
    built.workspace.commit("Run it")

    run = built.lr_ci.run(built.workspace.folder, "build-and-push", "--platform", "linux/amd64,linux/s390x")
    assert run.exit_code == 3
    assert "exec format error: RUN (line 5 of Dockerfile) for linux/s390x cannot run" in run.error
    assert "qemu-user-static" in run.error
    assert built.image.tags() == set()


def test_a_command_in_an_image_for_another_processor_is_refused_with_the_way_out(built: Built) -> None:
    run = built.lr_ci.run(built.workspace.folder, "shell", "--platform", "linux/s390x", "--", "/program")
    assert run.exit_code == 3
    assert "`/program` could not be run in the image: exec format error" in run.error
    assert "qemu-user-static" in run.error


@pytest.fixture
def emulator() -> Iterator[None]:
    """An emulator for arm64 that is registered under a name of its own."""
    interpreter = shutil.which("qemu-aarch64-static")
    if interpreter is None:
        pytest.skip("qemu-user-static is not installed; `make test` installs it")
    register = REGISTERED / "register"
    mounted = not register.exists()
    if mounted:
        done = subprocess.run(
            ["mount", "-t", "binfmt_misc", "none", REGISTERED], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"binfmt_misc cannot be mounted here: {done.stderr.strip()}")
    name = f"test-arm64-{os.getpid()}"
    magic = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00"
    mask = b"\xff" * 7 + bytes(9) + b"\xfe\xff\xff\xff"
    escaped = ["".join(f"\\x{byte:02x}" for byte in part) for part in (magic, mask)]
    register.write_text(f":{name}:M::{escaped[0]}:{escaped[1]}:{interpreter}:F", encoding="ascii")
    try:
        yield
    finally:
        (REGISTERED / name).write_text("-1", encoding="ascii")
        if mounted:
            subprocess.run(["umount", REGISTERED], check=False, capture_output=True)


def test_a_command_for_another_processor_runs_under_emulation(built: Built, emulator: None) -> None:
    del emulator
    (built.workspace.folder / "backend" / "program").write_bytes(program_for_arm64())
    built.workspace.write(
        "backend/Dockerfile", 'FROM scratch\nCOPY program /program\nRUN ["/program"]\nCMD ["/program"]\n'
    )
    built.workspace.commit("Run a program for arm64")

    assert re.search(r"platforms: ok, .*linux/arm64 \(.+\)", built.run("doctor"))
    built.run("build-and-push", "--platform", "linux/arm64")
    assert built.image.config("master")["architecture"] == "arm64"
    assert "made" in names_in_layers(built.image, "master")
    assert built.run("verify").splitlines()[1:] == ["start: exited with 0"]


def names_in_layers(image: Image, tag: str) -> set[str]:
    names: set[str] = set()
    for layer in image.manifest(tag)["layers"]:
        with image.registry.client() as client:
            content = client.get(f"/v2/{image.repository}/blobs/{layer['digest']}").raise_for_status().content
        listed = subprocess.run(["tar", "--list", "--gzip"], input=content, capture_output=True, check=True)
        names |= {name.rstrip("/").removeprefix("./") for name in listed.stdout.decode().splitlines()}
    return names
