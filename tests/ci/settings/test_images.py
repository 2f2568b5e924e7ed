"""Each case of files is one that Dagger reads; what lr-ci makes of it is what Dagger makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ci.settings.arguments import Value
from ci.settings.images import Image, choose_image, read_images
from pipeline.rules.errors import UsageError

GIT = "github.com/linkradar/backend-pipeline@v1.2.3"
API = {"argument": "source", "default": "services/api"}


@pytest.fixture(autouse=True)
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The top of a repository, which is the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(files: Mapping[str, object]) -> None:
    for name, content in files.items():
        file = Path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def toolchain(*customizations: Mapping[str, Any], name: str = "api", source: str = GIT) -> dict[str, Any]:
    return {"name": "app", "toolchains": [{"name": name, "source": source, "customizations": customizations}]}


def values(function: str = "plan", folder: str = ".", image: str | None = None) -> dict[str, Value]:
    settings = choose_image(read_images(Path(folder).absolute()), image).settings(function)
    return {name: setting.value for name, setting in settings.items()}


def refused(function: str = "plan") -> str:
    with pytest.raises(UsageError) as caught:
        values(function)
    return str(caught.value)


class TestDotenv:
    @pytest.mark.parametrize("config", [None, {"name": "app"}, {"name": "app", "sdk": {"source": "go"}}])
    def test_its_prefixed_variables_count_everywhere(self, config: object) -> None:
        write({".env": "BACKEND_PIPELINE_NAME=api\nNAME=other\nAPI_OWNER=other\n"})
        if config is not None:
            write({"dagger.json": config})
        assert values() == {"name": "api"}

    def test_the_nearest_one_above_the_current_directory_counts(self) -> None:
        write({".env": "BACKEND_PIPELINE_NAME=api\n", "services/.env": "", "services/api/file": ""})
        assert values(folder="services/api") == {}
        write({"services/api/.env/file": ""})
        assert values(folder="services/api") == {}
        assert values(folder=".") == {"name": "api"}

    def test_the_modules_own_repository_needs_no_prefix_but_one_wins(self) -> None:
        write({"dagger.json": {"name": "backend-pipeline"}, ".env": "NAME=a\nOWNER=b\nBACKEND_PIPELINE_NAME=c\n"})
        assert values() == {"name": "c", "owner": "b"}

    def test_values_have_the_types_of_their_arguments(self) -> None:
        lines = [
            "buildArg=A=1,B=2",
            "PLATFORM=linux/amd64,linux/arm64",
            "VERIFY_PORT=3000",
            "VERIFY_COMMAND=app,--version",
        ]
        lines += ["BUILD_AND_PUSH_ALLOW_DIRTY=", "BUILD_AND_PUSH_ALLOWDIRTY=true", 'plan_latest="\\"NEVER\\""']
        write({".env": "\n".join(f"BACKEND_PIPELINE_{line}" for line in lines)})
        assert values() == {"build_arg": ("A=1", "B=2"), "platform": "linux/amd64,linux/arm64", "latest": "NEVER"}
        assert values("verify").items() >= {"port": 3000, "command": ("app", "--version")}.items()
        assert values("build_and_push")["allow_dirty"] is True

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("VERIFY_PORT=http", "'http': expected an integer."),
            ("BUILDSECRET=env:WORD", "(not shown): 1 build secrets require as many different ids"),
            ("BUILDSECRETID=word", "'word': 0 build secrets require as many different ids"),
        ],
    )
    def test_a_value_of_another_type_names_file_and_key(self, line: str, problem: str) -> None:
        write({".env": f"BACKEND_PIPELINE_{line}\n"})
        assert refused("verify").startswith(f".env, BACKEND_PIPELINE_{line.partition('=')[0]}: {problem}")

    def test_build_secrets_have_their_ids(self) -> None:
        write({".env": "BACKEND_PIPELINE_BUILDSECRET=env://A, B\nBACKEND_PIPELINE_BUILDSECRETID=a,b\n"})
        assert values() == {"build_secret": ("a=env://A", "b=env:B")}


class TestABlueprint:
    @pytest.mark.parametrize("blueprint", [GIT, {"name": "backend-pipeline", "source": GIT}])
    def test_the_file_beside_it_needs_no_prefix_and_wins(self, blueprint: object) -> None:
        write({"dagger.json": {"name": "app", "blueprint": blueprint}})
        write({".env": "BACKEND_PIPELINE_NAME=a\nBACKEND_PIPELINE_OWNER=b\nNAME=c\n"})
        assert values() == {"name": "c", "owner": "b"}

    def test_a_local_one_brings_its_own_file(self) -> None:
        write({"dagger.json": {"name": "app", "blueprint": {"name": "x", "source": "./tools/ci"}}, ".env": "NAME=a\n"})
        write({"tools/ci/dagger.json": {"name": "backend-pipeline"}, "tools/ci/.env": "NAME=b\nTARGET=c\n"})
        assert values() == {"name": "a", "target": "c"}

    def test_another_module_is_ignored(self) -> None:
        write({"dagger.json": {"name": "app", "blueprint": "github.com/acme/other"}, ".env": "NAME=a\n"})
        assert values() == {}


class TestToolchains:
    def test_customizations_of_the_constructor_leave_no_dotenv_to_it(self) -> None:
        write({"dagger.json": toolchain(API), ".env": "BACKEND_PIPELINE_NAME=a\nBACKEND_PIPELINE_VERIFY_PATH=/up\n"})
        assert values() == {"source": "services/api"}
        assert values("verify") == {"source": "services/api", "path": "/up"}

    def test_without_any_its_constructor_reads_the_prefixed_variables(self) -> None:
        write({"dagger.json": toolchain(), ".env": "BACKEND_PIPELINE_NAME=a\nAPI_OWNER=b\nTARGET=c\n"})
        assert values() == {"name": "a"}

    def test_a_function_has_its_own_values_as_json(self) -> None:
        checks = [
            {"function": ["verify"], "argument": "command", "default": '["app", "--version"]'},
            {"function": ["verify"], "argument": "port", "default": "80"},
            {"function": ["build-and-push"], "argument": "allow-dirty", "default": "true"},
            {"function": ["build_and_push"], "argument": "latest", "default": "NEVER"},
        ]
        write({"dagger.json": toolchain(*checks)})
        assert values() == {}
        assert values("verify") == {"command": ("app", "--version"), "port": 80}
        assert values("build_and_push") == {"allow_dirty": True, "latest": "NEVER"}

    @pytest.mark.parametrize(
        ("customization", "problem"),
        [
            (
                {"argument": "build_arg", "default": "A=1"},
                "'build_arg': no such argument of the constructor.\nIt has:",
            ),
            ({"argument": "path", "function": ["plan"]}, "'path': no such argument of plan.\nIt has: ref, sha"),
            (
                {"argument": "x", "function": ["deploy"]},
                "'deploy': no such function.\nIt has: plan, build, imageBuilds",
            ),
            ({"argument": "source", "defaultPath": "/a"}, "'/a': the argument is text, neither a path nor an address."),
            ({"argument": "buildSecret", "default": "hunter2 "}, "(not shown): 1 build secrets require"),
            ({"argument": "port", "function": ["verify"], "default": "http"}, "'http': expected an integer."),
            ({"argument": "command", "function": ["verify"], "default": "a"}, "'a': expected a JSON list of strings."),
        ],
    )
    def test_what_dagger_would_ignore_is_named(self, customization: Mapping[str, Any], problem: str) -> None:
        write({"dagger.json": toolchain(API, customization)})
        text = refused("verify")
        assert text.startswith(f"dagger.json, toolchains[0].customizations[1] ({customization['argument']}): {problem}")

    def test_there_may_be_several_of_which_one_is_chosen(self) -> None:
        config = toolchain(API)
        config["toolchains"] += [{"name": "web", "source": GIT}, {"name": "lint", "source": "github.com/acme/lint"}]
        write({"dagger.json": config, "below/file": ""})
        assert [image.name for image in read_images(Path("below").absolute())] == ["api", "web"]
        assert values(image="web") == {}
        assert refused().splitlines() == [
            "This repository has several images: api, web.",
            "Give --image with one of them, or build-and-push --all.",
        ]
        with pytest.raises(UsageError, match=r"Image 'lint' not found.*\nIt has: api, web\."):
            values(image="lint")

    @pytest.mark.parametrize(
        ("source", "ours"),
        [
            (GIT, True),
            ("https://github.com/linkradar/backend-pipeline.git#v1", True),
            ("git@github.com:linkradar/backend-pipeline", True),
            ("github.com/acme/tools/backend-pipeline", True),
            ("github.com/acme/backend-pipeline@feature/x", True),
            ("ssh://git@github.com/acme/backend-pipeline.git@v1", True),
            ("github.com/acme/tools", False),
            ("./module", True),
            ("other", False),
        ],
    )
    def test_they_are_known_by_their_source(self, source: str, ours: bool) -> None:  # noqa: FBT001 - a column
        write({"module/dagger.json": {"name": "backend-pipeline"}, "other/dagger.json": {"name": "other"}})
        write({"dagger.json": toolchain(API, source=source)})
        assert bool(values()) is ours


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "dagger.json, the whole file: '{': "),
        ("[]", "dagger.json, the whole file: '[]': "),
        ({"toolchains": [{"source": 7}]}, "dagger.json, toolchains[0].source: '7': Input should be a valid string."),
        (toolchain({"argument": "port", "default": 7}), "dagger.json, toolchains[0].customizations[0].default: '7': "),
    ],
)
def test_a_file_that_is_not_valid_names_the_place(content: object, message: str) -> None:
    write({"dagger.json": content})
    assert refused().startswith(message)


def test_a_repository_without_files_has_one_image() -> None:
    assert read_images(Path.cwd()) == (Image(),)
    assert values() == {}
