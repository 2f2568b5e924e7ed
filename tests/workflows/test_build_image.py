"""Runs of `build-image.yml`, called from a repository that holds nothing of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry
from tests.workflows.act import TOOL, TOOL_REF, Act

BUILD, OUTPUTS = "Build and publish", "Set the outputs"
SECRET = "correct horse battery staple"
CALLER = f"""\
name: Image
on: [push, workflow_dispatch]
jobs:
  image:
    permissions: {{ contents: read, packages: write }}
    uses: {TOOL}/.github/workflows/build-image.yml@{TOOL_REF}
"""


def caller(folder: Path, dockerfile: str, inputs: str, path: str = "Dockerfile") -> Workspace:
    """Create a repository that holds a Dockerfile and a workflow, and nothing else."""
    workspace = Workspace.create(folder)
    workspace.write(path, dockerfile)
    workspace.write(".github/workflows/image.yml", CALLER + inputs)
    workspace.commit("Add an image")
    return workspace


def test_a_dockerfile_and_a_workflow_are_enough_to_publish_and_to_release(
    foreign: Act, base: str, registry: RunningRegistry, tmp_path: Path
) -> None:
    read = """
  read:
    needs: image
    runs-on: ubuntu-latest
    steps:
      - name: Read the outputs
        env:
          OUTPUTS: ${{ toJSON(needs.image.outputs) }}
        run: echo "$OUTPUTS"
"""
    dockerfile = f"FROM {base}\nCOPY . /all\nRUN ls -A /all\n"
    workspace = caller(tmp_path / "caller", dockerfile, f"    with: {{ source: ., name: team/api }}\n{read}")
    image = Image(registry, "linkradar/team/api")

    pushed = foreign.push(workspace, "image").succeeded()

    assert image.tags() == {f"sha-{workspace.short}", "master"}
    labels = image.labels("master")
    assert labels["org.opencontainers.image.revision"] == workspace.head
    assert labels["org.opencontainers.image.source"] == "https://github.com/LinkRadar/linkradar"
    build = pushed.step(BUILD).output
    assert "Dockerfile\n" in build
    assert "lr-ci\n" not in build.partition("RUN ls -A /all")[2].partition("build the image:")[0]
    assert image.digest("master") in pushed.step("Read the outputs").output
    assert (pushed.artifacts / "build-report-team-api" / "build-report.json").is_file()

    workspace.git("tag", "v1.0.0")
    released = foreign.push(workspace, "image", "refs/tags/v1.0.0").succeeded()

    assert image.tags() == {f"sha-{workspace.short}", "master", "v1.0.0", "latest"}
    outputs = released.step(OUTPUTS).outputs
    assert outputs["digest"] == image.digest("master") == image.digest("v1.0.0")
    assert '"built":false' in outputs["report"]


def test_inputs_and_secrets_reach_the_build_as_they_are(
    foreign: Act, base: str, registry: RunningRegistry, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    dockerfile = f"""\
FROM {base} AS first
ARG GREETING
ARG EMPTY=full
RUN --mount=type=secret,id=token.txt cat /run/secrets/token.txt; \\
    case "$(cat /run/secrets/token.txt)" in correct*staple);; *) false;; esac
RUN echo "[$GREETING] [$EMPTY]"
FROM first
RUN false
"""
    inputs = f"""\
    with:
      source: services/api
      name: api
      owner: another
      dockerfile: docker/Dockerfile.prod
      target: first
      platforms: linux/amd64
      build_args: |
        GREETING=$(touch {trap}) a "b" 'c' ;*
        EMPTY=
    secrets:
      build_secrets: |
        token.txt=${{{{ secrets.TOKEN }}}}
"""
    workspace = caller(tmp_path / "caller", dockerfile, inputs, "services/api/docker/Dockerfile.prod")

    run = replace(foreign, secrets={"TOKEN": SECRET}).push(workspace, "image").succeeded()

    image = Image(registry, "another/api")
    assert image.tags() == {f"sha-{workspace.short}", "master"}
    assert f"[$(touch {trap}) a \"b\" 'c' ;*] []" in run.step(BUILD).output
    assert not trap.exists()
    assert SECRET not in run.shown  # act's own log names the values that are masked
    assert SECRET not in str(image.config("master"))


def test_a_build_secret_without_an_id_is_refused_without_showing_it(foreign: Act, base: str, tmp_path: Path) -> None:
    inputs = "    secrets:\n      build_secrets: |\n        a=1\n        ${{ secrets.TOKEN }}\n"
    workspace = caller(tmp_path / "caller", f"FROM {base}\n", inputs)

    run = replace(foreign, secrets={"TOKEN": SECRET}).push(workspace, "image")

    assert run.jobs == {"build-and-push": "failure"}
    assert "Line 2 of the secret build_secrets is not ID=VALUE." in run.text
    assert SECRET not in run.text


def test_another_ref_than_the_one_of_the_run_can_be_published(
    foreign: Act, base: str, registry: RunningRegistry, tmp_path: Path
) -> None:
    inputs = "    with: { source: ., name: api, ref: refs/tags/v1.0.0, latest: never }\n"
    workspace = caller(tmp_path / "caller", f"FROM {base}\n", inputs)
    released = workspace.short
    workspace.git("tag", "--annotate", "--message", "First", "v1.0.0")
    workspace.write("note", "Later.")
    workspace.commit("Take a note")

    foreign.run(workspace, "image", "workflow_dispatch", {"ref": "refs/heads/master"}).succeeded()

    assert Image(registry, "linkradar/api").tags() == {f"sha-{released}", "v1.0.0"}


@pytest.mark.parametrize("with_token", [True, False])
def test_another_registry_takes_its_own_token_and_never_the_one_of_the_job(
    foreign: Act, base: str, registry_with_auth: RunningRegistry, tmp_path: Path, *, with_token: bool
) -> None:
    inputs = f"    with: {{ source: ., name: api, registry: '{registry_with_auth.host}', username: {USER} }}\n"
    secrets = "    secrets: { registry_token: '${{ secrets.TOKEN }}' }\n" if with_token else ""
    workspace = caller(tmp_path / "caller", f"FROM {base}\n", inputs + secrets)

    run = replace(foreign, secrets={"TOKEN": PASSWORD}, token=PASSWORD).push(workspace, "image")

    assert run.step(BUILD).exit_code == (0 if with_token else 4)
    assert bool(Image(registry_with_auth, "linkradar/api").tags()) == with_token
    assert PASSWORD not in run.shown


def test_a_server_that_does_not_tell_the_commit_of_the_workflow_is_reported(
    foreign: Act, tool: Workspace, base: str, tmp_path: Path
) -> None:
    path = ".github/workflows/build-image.yml"
    older = tool.copy(tmp_path / "tool")
    older.write(path, (older.folder / path).read_text(encoding="utf-8").replace("env.JOB_WORKFLOW_SHA", "env.NOTHING"))
    workspace = caller(tmp_path / "caller", f"FROM {base}\n", "")

    run = replace(foreign, tool=older).push(workspace, "image")

    assert run.jobs == {"build-and-push": "failure"}
    assert "the workflow cannot find its own commit" in run.shown
