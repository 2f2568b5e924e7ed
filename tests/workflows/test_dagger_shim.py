"""The stand-in of the Dagger CLI refuses what the CLI would refuse, so that no wrong line passes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.module import BackendPipeline, Publication
from tests.acceptance.command import ROOT
from tests.workflows import dagger_shim
from tests.workflows.dagger_shim import UsageError, _field, checks, function_named, parameters, take_flags


def test_flags_are_those_of_the_module() -> None:
    assert {"owner", "registry", "source"} <= set(parameters(BackendPipeline))
    publish = parameters(function_named(BackendPipeline, "publish"))
    assert {"ref", "sha", "username", "token", "latest", "allow-dirty", "registry-service"} == set(publish)


@pytest.mark.parametrize("flag", ["--commit", "--registry", "--source", "-x", "--token-env"])
def test_a_flag_that_the_function_does_not_know_is_refused(flag: str) -> None:
    known = parameters(function_named(BackendPipeline, "publish"))
    with pytest.raises(UsageError, match="unknown flag"):
        take_flags([flag, "value"], known)


def test_a_flag_without_its_value_is_refused() -> None:
    with pytest.raises(UsageError, match="flag needs an argument: --ref"):
        take_flags(["--ref"], parameters(function_named(BackendPipeline, "publish")))


def test_flags_end_where_the_next_function_begins() -> None:
    arguments = ["--ref", "refs/heads/--x", "--allow-dirty", "--sha=1", "report", "-o", "file"]
    taken = take_flags(arguments, parameters(function_named(BackendPipeline, "publish")))
    assert taken == {"ref": "refs/heads/--x", "allow-dirty": "true", "sha": "1"}
    assert arguments == ["report", "-o", "file"]


def test_a_function_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match='unknown command "push"'):
        function_named(BackendPipeline, "push")


def test_a_field_is_read_by_its_name() -> None:
    publication = Publication(digest="d", image="i", tags=[], references=[], report=None, summary="s")  # type: ignore[call-arg] # object_type makes it a dataclass
    assert _field(publication, "summary") == "s"
    with pytest.raises(UsageError, match='unknown command "reports"'):
        _field(publication, "reports")


def test_the_module_has_a_check_that_wants_no_argument() -> None:
    assert [*checks(BackendPipeline)] == ["image_builds"]
    assert parameters(BackendPipeline.image_builds) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["call", "publish", "--nothing"], "unknown flag: --nothing"),
        (["--progress=fancy", "call", "plan"], "does not know"),
        (["call"], "a function is missing"),
        (["check", "image-builds", "--fast"], "unexpected"),
    ],
)
def test_it_ends_as_the_cli_does(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", dagger_shim.__name__, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "_EXPERIMENTAL_DAGGER_RUNNER_HOST": "tcp://nowhere:1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert message in done.stderr.rpartition("Error: ")[2]


def test_an_engine_s_address_that_is_set_and_empty_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "")
    with pytest.raises(UsageError, match="runner host"):
        dagger_shim._look_for_engine()
