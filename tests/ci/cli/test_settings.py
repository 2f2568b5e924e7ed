"""A flag wins over a variable, that over the files, and those over the default."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ci.cli.publications import PublicationsReport
from ci.settings.report import ConfigReport
from tests.ci.cli.command import InProcess
from tests.pipeline.rules.test_report import DOCS, REWRITE

SHA = "9c68c4a0b1d2e3f405162738495a6b7c8d9e0f1a"
PLAN = ("plan", "--ref", "refs/heads/x", "--sha", SHA, "--json")
GIT = "github.com/linkradar/backend-pipeline"


def toolchain(image: str, **defaults: str) -> dict[str, Any]:
    customizations = [{"argument": argument, "default": default} for argument, default in defaults.items()]
    return {"name": image, "source": GIT, "customizations": customizations}


def write(dotenv: str = "", *toolchains: Mapping[str, Any]) -> None:
    Path(".env").write_text(dotenv, encoding="utf-8")
    if toolchains:
        Path("dagger.json").write_text(json.dumps({"name": "app", "toolchains": toolchains}), encoding="utf-8")


def image(in_process: InProcess, *arguments: str) -> str:
    run = in_process(*PLAN, *arguments)
    assert run.exit_code == 0, run.stderr
    found: str = json.loads(run.stdout)["image"]
    return found


def test_a_flag_wins_over_a_variable_and_that_over_a_file(
    in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("BACKEND_PIPELINE_NAME=file\nBACKEND_PIPELINE_OWNER=file\nBACKEND_PIPELINE_REGISTRY=file.example.org\n")
    monkeypatch.setenv("LR_CI_OWNER", "variable")
    monkeypatch.setenv("LR_CI_NAME", "variable")
    assert image(in_process, "--name", "flag") == "file.example.org/variable/flag"
    monkeypatch.setenv("LR_CI_NAME", "")
    assert image(in_process) == "file.example.org/variable/file"


def test_an_image_is_chosen_before_or_behind_the_command(
    in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("", toolchain("api", name="a", owner="acme"), toolchain("web", name="w", owner="acme"))
    assert image(in_process, "--image", "web") == "ghcr.io/acme/w"
    run = in_process("--image", "api", *PLAN)
    assert json.loads(run.stdout)["image"] == "ghcr.io/acme/a"
    monkeypatch.setenv("LR_CI_IMAGE", "web")
    assert image(in_process) == "ghcr.io/acme/w"


def test_one_of_several_images_must_be_chosen(in_process: InProcess) -> None:
    write("", toolchain("api", name="a"), toolchain("web", name="w"))
    for command in ("plan", "build", "build-and-push", "verify", "shell"):
        run = in_process(command)
        assert (run.exit_code, run.complaint[0]) == (2, "error: This repository has several images: api, web.")


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("NAME", "API", "Invalid image name 'API'."),
        ("OWNER", "a b", "Invalid image name 'a b/image'."),
        ("REGISTRY", "https://ghcr.io", "Invalid registry 'https://ghcr.io': expected"),
        ("SOURCE", "../up", "Invalid source '../up'"),
        ("PLATFORM", "linux", "Invalid platform 'linux'"),
        ("LABEL", "team", "Invalid label 'team'"),
        ("VERIFY_PATH", "up", "Invalid path 'up'"),
        ("VERIFY_PORT", "0", "Invalid port 0"),
        ("VERIFY_TOKEN", "hunter2:x", "(not shown): Invalid secret source."),
        ("BUILDSECRET", "hunter2:x\nBACKEND_PIPELINE_BUILDSECRETID=word", "(not shown): Invalid secret source."),
        ("PLAN_LATEST", "'\"MAYBE\"'", "expected one of"),
    ],
)
def test_a_value_that_is_not_valid_names_file_and_key(
    in_process: InProcess, key: str, value: str, problem: str
) -> None:
    write(f"BACKEND_PIPELINE_{key}={value}\n")
    run = in_process("config")
    assert run.exit_code == 2
    assert run.complaint[0].startswith(f"error: .env, BACKEND_PIPELINE_{key}: ")
    assert problem in run.complaint[0]
    assert "hunter2" not in run.stderr


def test_config_shows_each_value_with_its_place(in_process: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        "BACKEND_PIPELINE_VERIFY_PATH=/up\n", toolchain("api", name="a"), toolchain("web", name="w", buildArg="A=1,B=2")
    )
    monkeypatch.setenv("LR_CI_OWNER", "acme")
    run = in_process("config", "--registry", "example.org")
    assert run.exit_code == 0, run.stderr
    lines = [" ".join(line.split()) for line in run.stdout.splitlines()]
    web = lines[lines.index("web:") :]
    assert lines[0] == "api:"
    assert "--registry example.org --registry" in web
    assert "--owner acme LR_CI_OWNER" in web
    assert "--name w dagger.json, toolchains[1].customizations[0] (name)" in web
    assert "--build-arg A=1, B=2 dagger.json, toolchains[1].customizations[1] (buildArg)" in web
    assert "--source backend default" in web
    assert "verify --path /up .env, BACKEND_PIPELINE_VERIFY_PATH" in web


def test_config_as_json_has_the_same(in_process: InProcess) -> None:
    write("BACKEND_PIPELINE_NAME=api\nBACKEND_PIPELINE_VERIFY_PORT=80\n")
    report = ConfigReport.model_validate_json(in_process("config", "--json").stdout, strict=True, extra="forbid")
    (only,) = report.images
    assert only.image is None
    values = {(each.command, each.option): each for each in only.values}
    name, port, target = values[None, "--name"], values["verify", "--port"], values[None, "--target"]
    assert (name.value, name.source, name.file, name.key) == ("api", "file", ".env", "BACKEND_PIPELINE_NAME")
    assert (port.value, port.file) == (80, ".env")
    assert (target.value, target.source, target.key) == (None, "default", None)


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (("--token", "env:TOKEN"), "env:TOKEN"),
        (("--token", "env:hunter2-secret"), "env:(not shown)"),
        (("--token", "cmd:op read hunter2"), "cmd:op …"),
        (("--token", "hunter2"), "(not shown)"),
        (("--build-secret", "word=cmd:printf hunter2"), "word=cmd:printf …"),
        (("--build-secret", "word=file:hunter2"), "word=file:(path not shown)"),
    ],
)
def test_config_never_shows_a_secret(in_process: InProcess, flags: tuple[str, ...], shown: str) -> None:
    for form in ((), ("--json",)):
        run = in_process("config", *flags, *form)
        assert shown in run.stdout or run.exit_code == 2
        assert "hunter2" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("model", "file"),
    [(ConfigReport, "config-report.schema.json"), (PublicationsReport, "publications-report.schema.json")],
)
def test_the_schema_that_is_checked_in_is_the_models_own(model: type[BaseModel], file: str) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(mode="serialization")
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get(REWRITE):
        (DOCS / file).write_text(text, encoding="utf-8")
    assert (DOCS / file).read_text(encoding="utf-8") == text, f"{REWRITE}=1 pytest {Path(__file__).name} writes it anew"
