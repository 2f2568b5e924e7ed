from __future__ import annotations

from pathlib import Path

import pytest

from ci.settings.dotenv import Variables, read_dotenv
from pipeline.rules.errors import UsageError


def read(folder: Path, text: str) -> Variables:
    file = folder / ".env"
    file.write_text(text, encoding="utf-8")
    return read_dotenv(file)


def value(variables: Variables, name: str) -> str | None:
    found = variables.find(name)
    return None if found is None else found[0]


def test_lines_are_assignments_of_which_the_last_counts(tmp_path: Path) -> None:
    variables = read(tmp_path, "# NAME=no\n\n  export NAME=first\r\nNAME=api\nnot a line\n")
    assert value(variables, "name") == "api"
    assert value(variables, "Name") == "api"
    assert value(variables, "other") is None


def test_a_place_is_the_file_and_the_key_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = read(tmp_path, "backendPipeline_Name=api").below("backend-pipeline").find("name")
    assert found is not None
    assert str(found[1]) == ".env, backendPipeline_Name"


@pytest.mark.parametrize("key", ["BACKEND_PIPELINE_NAME", "backendPipeline_name", "backendpipeline_NAME"])
def test_a_prefix_may_be_spelled_in_two_ways_and_any_case(tmp_path: Path, key: str) -> None:
    variables = read(tmp_path, f"{key}=api\nNAME=other\nBACKENDPIPELINENAME=other\n")
    assert value(variables.below("backend-pipeline"), "name") == "api"


def test_what_a_prefix_hides_can_still_be_referred_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_NAME", "ada")
    variables = read(tmp_path, "TOP=services\nX_SOURCE=$TOP/$KIND\nX_KIND=api\nX_OWNER=${USER_NAME}\n").below("x")
    assert value(variables, "owner") == "ada"
    assert value(variables, "source") == "services/api"
    assert value(variables, "top") is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("NAME=$NAME", "the variable NAME refers to itself"),
        ("NAME=$OTHER\nOTHER=$NAME", "the variable NAME refers to itself"),
        ("NAME=$NOT_SET_ANYWHERE", "the variable NOT_SET_ANYWHERE is not set"),
        ("NAME='open", "not valid"),
    ],
)
def test_an_error_names_file_key_and_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        read(tmp_path, line).find("name")
    shown = line.partition("\n")[0].removeprefix("NAME=")
    assert caught.value.message.startswith(f".env, NAME: {shown!r}: ")
    assert problem in caught.value.message


def test_a_line_that_is_not_needed_cannot_be_wrong(tmp_path: Path) -> None:
    assert value(read(tmp_path, "NAME=api\nTEXT='open\nDATE=$(date)\n"), "name") == "api"


def test_no_file_has_no_variables(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / "none").own == {}
    assert read_dotenv(tmp_path).own == {}
    assert read_dotenv(None).own == {}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"NAME=\xff\n")
    with pytest.raises(UsageError, match=r"^\.env cannot be read: not UTF-8\.$"):
        read_dotenv(tmp_path / ".env")
