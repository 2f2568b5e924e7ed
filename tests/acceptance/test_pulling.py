"""What is published can be pulled by tag and by digest, and it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.conftest import Publication
from tests.acceptance.workspace import Workspace
from tests.preforked import LR_CI


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_skopeo_pulls_it(publication: Publication, tmp_path: Path, by: str) -> None:
    image = publication.image
    reference = f"{image.name}:master" if by == "tag" else f"{image.name}@{publication.digest}"

    command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{reference}", f"oci:{tmp_path}/pulled"]
    subprocess.run(command, check=True, timeout=120)

    index = json.loads((tmp_path / "pulled" / "index.json").read_text())
    assert [manifest["digest"] for manifest in index["manifests"]] == [publication.digest]


@pytest.mark.usefixtures("port_3000")
def test_the_engine_pulls_it_by_the_tags_digest_and_it_answers(lr_ci: Command, publication: Publication) -> None:
    run = lr_ci.run(publication.workspace.folder, "verify", "--registry", publication.image.registry.host).succeeded()

    reference, version, answer = run.stdout.splitlines()
    assert reference == f"{publication.image.name}@{publication.digest}"
    assert version.startswith("bin/rails --version: Rails 6.1.")
    assert answer == "/up: 200"


@pytest.mark.usefixtures("port_3000")
def test_without_settings_the_image_says_what_it_must_do(
    lr_ci: Command, publication: Publication, workspace: Workspace
) -> None:
    workspace.write(".env", "BACKEND_PIPELINE_NAME=lr-backend\n")
    run = lr_ci.run(workspace.folder, "verify", "--registry", publication.image.registry.host).succeeded()

    assert run.stdout.splitlines()[1:] == ["HEALTHCHECK: healthy"]


@pytest.mark.usefixtures("port_3000")
def test_verifying_runs_the_server_each_time(lr_ci: Command, publication: Publication) -> None:
    arguments = ["verify", "--registry", publication.image.registry.host, "--digest", publication.digest, "--debug"]

    for _ in range(2):
        run = lr_ci.run(publication.workspace.folder, *arguments).succeeded()
        assert "Puma starting" in run.stderr
        assert "puma shutdown" in run.stderr


def test_an_image_that_was_never_published_is_not_verified(lr_ci: Command, publication: Publication) -> None:
    arguments = ["verify", "--registry", publication.image.registry.host, "--sha", "0" * 40]

    run = lr_ci.run(publication.workspace.folder, *arguments)

    assert (run.exit_code, run.stdout) == (2, "")
    assert run.error.startswith(f"{publication.image.name}:sha-0000000 is not in the registry.")


_RUN_RAILS = """
import sys
import anyio, dagger
from dagger import dag

async def main():
    async with dagger.connection():
        for reference in sys.argv[1:]:
            print(await dag.container().from_(reference).with_exec(["bin/rails", "--version"]).stdout(), end="")

anyio.run(main)
"""


def test_the_engine_pulls_it_by_tag_and_by_digest(lr_ci: Command, publication: Publication, tmp_path: Path) -> None:
    image = publication.image
    environment = lr_ci.with_variables(_EXPERIMENTAL_DAGGER_CLI_BIN=str(LR_CI)).environment

    done = subprocess.run(
        [sys.executable, "-c", _RUN_RAILS, f"{image.name}:master", f"{image.name}@{publication.digest}"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert [line.startswith("Rails 6.1.") for line in done.stdout.splitlines()] == [True, True]
