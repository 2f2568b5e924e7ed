from __future__ import annotations

from pathlib import Path

import pytest

from ci.system import secret_source
from ci.system.secret_source import SecretKind, SecretSource, SecretSourceError, parse_secret_source

SECRET = "ghp_0123456789abcdefghijABCDEFGHIJ012345"


async def read(spelling: str) -> str:
    return (await parse_secret_source(spelling).read_token()).get_secret_value()


async def error_of(spelling: str) -> SecretSourceError:
    with pytest.raises(SecretSourceError) as caught:
        await read(spelling)
    return caught.value


@pytest.mark.parametrize(
    ("spelling", "kind", "place"),
    [
        ("env:GITHUB_TOKEN", SecretKind.ENV, "GITHUB_TOKEN"),
        ("file:~/a:b", SecretKind.FILE, "~/a:b"),
        ("cmd:gh auth token", SecretKind.CMD, "gh auth token"),
        ("env://GITHUB_TOKEN", SecretKind.ENV, "GITHUB_TOKEN"),
        ("file:///run/token", SecretKind.FILE, "/run/token"),
    ],
)
def test_a_place_is_spelled_as_dagger_spells_it(spelling: str, kind: SecretKind, place: str) -> None:
    assert parse_secret_source(spelling) == SecretSource(kind=kind, place=place)


@pytest.mark.parametrize(
    "spelling", [SECRET, f"env={SECRET}", f"ENV:{SECRET}", f"token:{SECRET}", f":{SECRET}", "", "env:"]
)
def test_anything_else_is_refused_and_never_repeated(spelling: str) -> None:
    with pytest.raises(SecretSourceError) as caught:
        parse_secret_source(spelling)
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.hint} {caught.value.args}"
    assert "env:NAME, file:PATH or cmd:COMMAND" in caught.value.hint


@pytest.mark.parametrize("kind", ["env", "file", "cmd"])
async def test_a_secret_where_its_place_should_stand_is_never_repeated(kind: str) -> None:
    # `--token env:$GITHUB_TOKEN` is the likeliest slip of all.
    error = await error_of(f"{kind}:{SECRET}")
    assert SECRET not in f"{error} {error!r} {error.hint} {error.args}"
    assert error.__cause__ is None
    assert error.__context__ is None or SECRET not in repr(error.__context__)


@pytest.mark.parametrize("kind", ["env", "file", "cmd"])
def test_a_place_does_not_show_where_it_could_be_the_secret(kind: str) -> None:
    assert SECRET not in repr(parse_secret_source(f"{kind}:{SECRET}"))


class TestAnEnvironmentVariable:
    async def test_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOME_TOKEN", f"{SECRET}\n")
        assert parse_secret_source("env:SOME_TOKEN").is_set
        assert await read("env:SOME_TOKEN") == SECRET

    async def test_must_be_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SOME_TOKEN", raising=False)
        assert not parse_secret_source("env:SOME_TOKEN").is_set
        assert (await error_of("env:SOME_TOKEN")).message == "The environment variable SOME_TOKEN is not set."

    @pytest.mark.parametrize("value", ["", " \n"])
    async def test_must_hold_something(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("SOME_TOKEN", value)
        assert not parse_secret_source("env:SOME_TOKEN").is_set
        assert (await error_of("env:SOME_TOKEN")).message == "The environment variable SOME_TOKEN is empty."


class TestAFile:
    @pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n"])
    async def test_is_read_without_the_end_of_its_line(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "token").write_text(content, encoding="utf-8")
        assert await read(f"file:{tmp_path}/token") == SECRET

    async def test_may_be_below_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "token").write_text(SECRET, encoding="utf-8")
        assert await read("file:~/token") == SECRET

    async def test_may_be_relative(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "token").write_text(SECRET, encoding="utf-8")
        assert await read("file:token") == SECRET

    async def test_must_be_there(self, tmp_path: Path) -> None:
        error = await error_of(f"file:{tmp_path}/token")
        assert error.message == f"The file {tmp_path}/token cannot be read: FileNotFoundError."

    async def test_must_be_a_file(self, tmp_path: Path) -> None:
        assert "IsADirectoryError" in (await error_of(f"file:{tmp_path}")).message

    async def test_must_hold_something(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("\n", encoding="utf-8")
        assert (await error_of(f"file:{tmp_path}/token")).message == f"The file {tmp_path}/token is empty."

    async def test_must_be_text(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_bytes(b"\xff\xfe")
        assert "UnicodeDecodeError" in (await error_of(f"file:{tmp_path}/token")).message

    async def test_of_an_unknown_home_directory_is_a_usage_error(self) -> None:
        assert "cannot be read" in (await error_of("file:~nobody-has-this-name/token")).message


class TestACommand:
    async def test_gives_what_it_prints(self) -> None:
        assert await read(f"cmd:echo asking >&2; echo {SECRET}") == SECRET

    async def test_must_end_well_whatever_it_printed(self) -> None:
        error = await error_of(f"cmd:echo {SECRET}; echo {SECRET} >&2; exit 7")
        assert error.message == "The command for the secret failed with exit code 7."

    async def test_must_print_something(self) -> None:
        assert (await error_of("cmd:true")).message == "The output of the command is empty."

    async def test_must_end_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(secret_source, "_COMMAND_SECONDS", 0.2)
        assert "did not end within" in (await error_of("cmd:sleep 60")).message

    async def test_has_the_variables_that_its_program_may_need(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OP_SESSION", SECRET)
        assert await read("cmd:echo $OP_SESSION") == SECRET

    async def test_reads_nothing(self) -> None:
        assert await read(f"cmd:cat; echo {SECRET}") == SECRET


@pytest.mark.parametrize("content", [SECRET, f" {SECRET}\n", ""])
async def test_a_secret_other_than_a_token_is_not_trimmed(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content, encoding="utf-8")
    for spelling in (f"file:{tmp_path}/secret", f"cmd:cat {tmp_path}/secret"):
        assert (await parse_secret_source(spelling).read()).get_secret_value() == content


async def test_a_secret_that_was_read_does_not_show_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    found = await parse_secret_source("env:SOME_TOKEN").read()
    assert SECRET not in f"{found} {found!r}"
