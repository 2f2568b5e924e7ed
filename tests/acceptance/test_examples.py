"""Each of `examples/` is built, published, verified and released by the files that an adopter writes."""

from __future__ import annotations

import gzip
import secrets
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.conftest import held_port
from tests.acceptance.private_index import PASSWORD, PrivateIndex, index
from tests.acceptance.published import Image, blob_requests
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry

__all__ = ["index"]


@dataclass(frozen=True)
class Example:
    """An example.

    Attributes:
        folder: Its directory in `examples/`.
        verified: What `verify` prints about each of its images, by name.
        choose: Whether there are several, of which `--image` chooses one.
    """

    folder: str
    verified: dict[str, str]
    choose: bool = False

    def chosen(self, image: str) -> list[str]:
        """The options of `lr-ci` that choose an image."""
        return ["--image", image] if self.choose else []


EXAMPLES = [
    Example("scratch", {"hello": "exited with 0"}),
    Example("python-service", {"greeter": "/: 200"}),
    Example("worker", {"worker": "still running"}),
    Example("monorepo", {"api": "HEALTHCHECK: healthy", "web": "port 8080: accepts connections"}, choose=True),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.folder)
def test_an_example_is_built_published_verified_and_released(
    example: Example, lr_ci: Command, registry: RunningRegistry, index: PrivateIndex, tmp_path: Path
) -> None:
    workspace = Workspace.with_example(tmp_path / "repository", example.folder)
    command = lr_ci.with_variables(LR_CI_REGISTRY=registry.host, ACME_INDEX_URL=index.url)
    images = {name: Image(registry, f"linkradar/{name}") for name in example.verified}

    command.run(workspace.folder, "build-and-push", *(["--all"] if example.choose else [])).succeeded()

    digests = {name: image.digest("main") for name, image in images.items()}
    for name, image in images.items():
        assert image.tags() == {f"sha-{workspace.short}", "main"}
        with held_port(8080):
            verified = command.run(workspace.folder, *example.chosen(name), "verify").succeeded()
        assert example.verified[name] in verified.stdout
        assert PASSWORD not in str(image.config("main"))

    before = len(registry.requests())
    workspace.git("tag", "v1.0.0")
    released = command.run(
        workspace.folder, "build-and-push", "--ref", "refs/tags/v1.0.0", *(["--all"] if example.choose else [])
    ).succeeded()

    assert "built and uploaded" not in released.stderr
    assert {request.method for request in blob_requests(registry.requests()[before:])} <= {"GET", "HEAD"}
    for name, image in images.items():
        assert image.tags() == {f"sha-{workspace.short}", "main", "v1.0.0", "latest"}
        assert {image.digest(tag) for tag in image.tags()} == {digests[name]}


def test_the_password_of_a_private_index_is_in_no_layer_and_no_output(
    lr_ci: Command, index: PrivateIndex, tmp_path: Path
) -> None:
    workspace = Workspace.with_example(tmp_path / "repository", "python-service")
    nothing_cached = f"# {secrets.token_hex(8)}\n"
    workspace.append("requirements.txt", nothing_cached)
    workspace.commit("Build it anew")
    archive = tmp_path / "image.tar"

    run = (
        lr_ci.with_variables(ACME_INDEX_URL=index.url)
        .run(workspace.folder, "build", "--debug", "--output", archive)
        .succeeded()
    )

    assert index.served == ["/simple/acme-greetings/", "/files/acme_greetings-1.2.0-py3-none-any.whl"]
    assert PASSWORD not in run.stdout + run.stderr
    assert PASSWORD.encode() not in _unpacked(archive)


def test_the_service_does_not_build_without_its_secret(lr_ci: Command, tmp_path: Path) -> None:
    workspace = Workspace.with_example(tmp_path / "repository", "python-service")
    run = lr_ci.run(workspace.folder, "build")
    assert run.exit_code == 2
    assert "ACME_INDEX_URL" in run.error


def _unpacked(archive: Path) -> bytes:
    """Return the content of all layers of an OCI archive."""
    with tarfile.open(archive) as files:
        members = [files.extractfile(member) for member in files.getmembers() if member.isfile()]
        content = [member.read() for member in members if member is not None]
    return b"".join(gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob for blob in content)
