from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from ci.cli.build_commands import BuildAndPushCommand

ROOT = Path(__file__).parents[3]
HOSTILE = "refs/heads/a$(x)$HOME\"b'c`id`;&{d}#e"
STAND_IN = """#!/bin/sh
echo "$@" >> "$CALLS"
env | sed -n 's/^LR_CI_//p' | sort >> "$CALLS"
echo -- >> "$CALLS"
echo "what it does" >&2
echo sha256:digest
"""

DEFAULTS = ["OWNER=linkradar", "REGISTRY=localhost:5001"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@dataclass(frozen=True)
class Make:
    """`make` with a stand-in for `lr-ci`, which is tested elsewhere: here only what it is given counts."""

    folder: Path

    def run(self, *words: str, **variables: str) -> str:
        # `make test` hands its own variables to the tests.
        own = ("MAKE", "LR_CI_", "REGISTRY", "OWNER", "NAME", "REF", "SHA", "LATEST", "ENGINE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        env = inherited | {"CALLS": str(self.folder / "calls")} | variables
        command = ["make", "-s", "-C", str(ROOT), "-o", "setup", f"PY={self.folder}", *words]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=30).stdout

    def calls(self) -> list[list[str]]:
        text = (self.folder / "calls").read_text()
        return [call.splitlines() for call in text.split("--\n") if call]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    (tmp_path / "lr-ci").write_text(STAND_IN)
    (tmp_path / "lr-ci").chmod(0o755)
    return Make(tmp_path)


def test_the_digest_is_alone_on_standard_output(make: Make) -> None:
    assert make.run("build-and-push") == "sha256:digest\n"
    assert make.calls() == [["registry up --port 5001", *DEFAULTS], ["build-and-push", *DEFAULTS]]


def test_a_registry_elsewhere_starts_none_here(make: Make) -> None:
    make.run("build-and-push", "NAME=x", REGISTRY="ghcr.io", OWNER="o", ENGINE="dagger")
    assert make.calls() == [["build-and-push", "ENGINE=dagger", "NAME=x", "OWNER=o", "REGISTRY=ghcr.io"]]


def test_the_commands_own_variables_count_and_a_name_of_the_machine_does_not(make: Make) -> None:
    make.run("plan", LR_CI_REGISTRY="ghcr.io", LR_CI_OWNER="o", NAME="DESKTOP-1")
    make.run("plan", LR_CI_REGISTRY="ghcr.io", LR_CI_OWNER="o", LR_CI_NAME="links", NAME="DESKTOP-1")
    assert make.calls() == [
        ["plan", "OWNER=o", "REGISTRY=ghcr.io"],
        ["plan", "NAME=links", "OWNER=o", "REGISTRY=ghcr.io"],
    ]


def test_makes_own_variables_count_more_than_the_commands(make: Make) -> None:
    make.run("plan", "REF=refs/heads/a", LR_CI_REF="refs/heads/b", LR_CI_SHA="c", LATEST="never", LR_CI_LATEST="auto")
    assert make.calls() == [["plan", "LATEST=never", "OWNER=linkradar", "REF=refs/heads/a", DEFAULTS[1], "SHA=c"]]


def test_a_variable_that_is_empty_is_as_none(make: Make) -> None:
    make.run("plan", "REF=", LATEST="", OWNER="")
    assert make.calls() == [["plan", *DEFAULTS]]


def test_makes_variables_are_options_of_the_command() -> None:
    (line,) = re.findall(r"^OPTIONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    names = {field.name.upper() for field in fields(BuildAndPushCommand)}
    assert set(line.split()) <= names


def test_another_local_port_is_taken_from_the_registry(make: Make) -> None:
    make.run("build-and-push", "REGISTRY=127.0.0.1:5007")
    assert make.calls()[0][0] == "registry up --port 5007"


def test_a_ref_reaches_the_command_letter_by_letter(make: Make) -> None:
    make.run("plan", REF=HOSTILE)
    make.run("plan", f"REF={HOSTILE}")
    make.run("plan", LR_CI_REF=HOSTILE)
    assert [call[2] for call in make.calls()] == [f"REF={HOSTILE}"] * 3


def test_help_names_every_target(make: Make) -> None:
    told = make.run()
    for target in ("setup", "build-and-push", "plan", "verify", "test", "lint", "registry-up", "clean"):
        assert f"  {target} " in told


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that was set up, on a machine that has next to nothing."""
    for name in ("bin", ".venv/bin", "programs"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("pyproject.toml", "uv.lock", "bin/setup"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv/bin/python").touch(mode=0o755)
    for name in ("bash", "cksum", "cmp", "dirname", "head"):
        (tmp_path / "programs" / name).symlink_to(shutil.which(name) or name)
    files = ["pyproject.toml", "uv.lock", "bin/setup"]
    stamp = subprocess.run(["cksum", *files], cwd=tmp_path, check=True, capture_output=True).stdout
    (tmp_path / ".venv/.setup-stamp").write_bytes(b"product\n" + stamp)
    return tmp_path


def _set_up(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(checkout / "programs"), "HOME": str(checkout)} | variables
    bash = shutil.which("bash") or "bash"
    return subprocess.run(
        [bash, checkout / "bin/setup"], env=env, check=False, capture_output=True, text=True, timeout=30
    )


def test_programs_that_cannot_be_installed_are_named_and_nothing_goes_to_standard_output(checkout: Path) -> None:
    done = _set_up(checkout)
    assert (done.returncode, done.stdout) == (0, "")
    assert "buildah skopeo docker-registry" in done.stderr
    assert "ENGINE=dagger" in done.stderr


@pytest.mark.parametrize("variable", ["ENGINE", "LR_CI_ENGINE"])
def test_a_dagger_engine_needs_none_of_the_builders_programs(checkout: Path, variable: str) -> None:
    done = _set_up(checkout, **{variable: "dagger"})
    assert "buildah" not in done.stderr
    assert "missing: git make" in done.stderr


def test_a_machine_that_has_everything_is_left_alone_without_a_word(checkout: Path) -> None:
    for name in ("git", "make", "iptables"):
        (checkout / "programs" / name).symlink_to("/bin/true")
    done = _set_up(checkout, ENGINE="dagger")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
