"""`lr-ci build-and-push --all` publishes each toolchain of `dagger.json` over one session."""

from __future__ import annotations

import json
import secrets
import signal
from pathlib import Path

import pytest

from ci.cli.publications import PublicationsReport
from pipeline.rules.report import BuildReport
from tests.acceptance.command import Command, ended
from tests.acceptance.published import Image, writes
from tests.acceptance.test_stopping import assert_nothing_left, start_until_asleep
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry

SOURCE = "github.com/linkradar/backend-pipeline@v1"


def monorepo(folder: Path, dockerfiles: dict[str, str], names: dict[str, str] | None = None) -> Workspace:
    workspace = Workspace.create(folder)
    toolchains = []
    for image, text in dockerfiles.items():
        if text:
            workspace.write(f"services/{image}/Dockerfile", text)
        defaults = {"source": f"services/{image}", "name": (names or {}).get(image, image)}
        customizations = [{"argument": argument, "default": default} for argument, default in defaults.items()]
        toolchains.append({"name": image, "source": SOURCE, "customizations": customizations})
    workspace.write("dagger.json", json.dumps({"name": "app", "engineVersion": "v0.21.8", "toolchains": toolchains}))
    workspace.commit("Add services")
    return workspace


def test_each_image_has_its_own_outcome(
    small_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry
) -> None:
    files = {
        "api": f"FROM {base}\nRUN touch /api\n",
        "bad": f"FROM {base}\nRUN exit 7\n",
        "web": "FROM scratch\n",
        "no": "",
    }
    files["web"] = f"FROM {base}\nCOPY Dockerfile /web\n"
    workspace = monorepo(tmp_path / "repository", files)
    report = tmp_path / "report.json"
    (tmp_path / "report.bad.json").write_text("of an earlier run")

    run = small_lr_ci.run(workspace.folder, "build-and-push", "--all", "--registry", registry.host, "--report", report)

    api, web = Image(registry, "linkradar/api"), Image(registry, "linkradar/web")
    assert run.exit_code == 3
    assert run.stdout == f"api {api.digest('master')}\nweb {web.digest('master')}\n"
    assert run.stderr.count("Engine: embedded") == 1
    assert "error: bad: bad from Dockerfile could not be built" in run.stderr
    assert "error: no: Directory 'services/no' not found" in run.stderr
    assert not (tmp_path / "report.bad.json").exists()
    written = {
        name: BuildReport.model_validate_json((tmp_path / f"report.{name}.json").read_text()) for name in ("api", "web")
    }
    assert [written[name].digest for name in ("api", "web")] == [api.digest("master"), web.digest("master")]

    asked = small_lr_ci.run(workspace.folder, "plan", "--image", "api", "--online", "--registry", registry.host)
    assert asked.succeeded().stdout.splitlines() == [
        f"{api.name}:sha-{workspace.short}  is already there",
        f"{api.name}:master       is already there",
    ]

    again = small_lr_ci.run(workspace.folder, "build-and-push", "--all", "--registry", registry.host, "--json")
    answer = PublicationsReport.model_validate_json(again.stdout, strict=True, extra="forbid")
    assert (again.exit_code, answer.exit_code) == (3, 3)
    assert [each.image for each in answer.images] == ["api", "bad", "web", "no"]
    assert [each.report is not None and not each.report.built for each in answer.images] == [True, False, True, False]
    assert [each.error.exit_code for each in answer.images if each.error is not None] == [3, 2]


def test_two_images_under_one_name_are_refused(
    small_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry
) -> None:
    file = f"FROM {base}\n"
    workspace = monorepo(tmp_path / "repository", {"api": file, "web": file}, {"web": "api"})
    run = small_lr_ci.run(workspace.folder, "build-and-push", "--all", "--registry", registry.host)
    assert (run.exit_code, run.stdout) == (2, "")
    assert run.error.startswith(f"Both api and web would be published as {registry.host}/linkradar/api.")
    assert writes(registry.requests()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_them_cleanly(
    own_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry, number: signal.Signals
) -> None:
    seconds = f"4000.{secrets.randbelow(10**9):09}"
    files = {name: f"FROM {base}\nRUN touch /{name} && sleep {seconds}\n" for name in ("api", "web")}
    workspace = monorepo(tmp_path / "repository", files)

    process = start_until_asleep(
        own_lr_ci, workspace.folder, seconds, "build-and-push", "--all", "--registry", registry.host
    )
    process.send_signal(number)
    run = ended(process)

    assert (run.exit_code, run.stdout) == (128 + number, "")
    assert run.error == f"Stopped by {number.name} and cleaned up."
    assert_nothing_left(own_lr_ci, process.pid, seconds)
    assert writes(registry.requests()) == []
