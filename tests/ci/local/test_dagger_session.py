from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagger import dag
from dagger.client._session import SharedConnection

from ci.engine.events import Event
from ci.local.dagger_session import _environment, open_session
from ci.local.engine_choice import CLI_BIN, SESSION_PORT, EngineKind
from pipeline.rules.errors import EngineError
from tests.ci.programs import Programs
from tests.conftest import require_embedded_engine

TOKEN = "DAGGER_SESSION_TOKEN"
LR_CI = Path(sys.executable).with_name("lr-ci")


def variables() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in (SESSION_PORT, TOKEN, CLI_BIN)}


def nobody(event: Event) -> None:
    pytest.fail(f"nobody should be told {event}")


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded engine with a folder of its own, and no other session about."""
    require_embedded_engine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (SESSION_PORT, TOKEN, CLI_BIN):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def forgetful_sdk() -> Iterator[None]:
    """Takes back what the SDK keeps of a connection that failed, which would be in the way of every later test."""
    yield
    shared = SharedConnection()
    shared._session = None
    shared._params = None


def test_variables_are_set_for_a_while_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAS_THERE", "before")
    monkeypatch.delenv("WAS_NOT", raising=False)
    with _environment({"WAS_THERE": "now", "WAS_NOT": "now"}):
        assert (os.environ["WAS_THERE"], os.environ["WAS_NOT"]) == ("now", "now")
    assert os.environ["WAS_THERE"] == "before"
    assert "WAS_NOT" not in os.environ


@pytest.mark.engine
@pytest.mark.usefixtures("embedded")
class TestTheEmbeddedEngine:
    async def test_answers_the_sdk_while_the_block_runs(self) -> None:
        before = variables()
        events: list[Event] = []
        async with open_session(EngineKind.EMBEDDED, events.append):
            assert await dag.file("f", "there").contents() == "there"
            assert os.environ[SESSION_PORT].isdigit()
        assert variables() == before

    async def test_is_taken_even_where_another_session_is_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(SESSION_PORT, "1")
        monkeypatch.setenv(TOKEN, "of another session")
        async with open_session(EngineKind.EMBEDDED, lambda _: None):
            assert await dag.default_platform()
        assert (os.environ[SESSION_PORT], os.environ[TOKEN]) == ("1", "of another session")

    async def test_gives_an_error_of_the_block_back_as_it_is(self) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with open_session(EngineKind.EMBEDDED, lambda _: None):
                raise KeyError("mine")  # noqa: EM101 - any error
        assert variables() == dict.fromkeys(variables())

    async def test_can_be_opened_again(self) -> None:
        for content in ("one", "two"):
            async with open_session(EngineKind.EMBEDDED, lambda _: None):
                assert await dag.file("f", content).contents() == content


class TestADaggerEngine:
    """The program is a fake: no Dagger CLI or container runtime is available where these tests run."""

    async def test_that_does_not_start_is_an_error_of_the_engine(self, programs: Programs) -> None:
        programs.add("dagger", "echo 'connecting' >&2; echo 'failed: no docker' >&2; exit 1")
        with pytest.raises(EngineError) as caught:
            async with open_session(EngineKind.DAGGER, nobody):
                pytest.fail("there is no session")
        assert caught.value.message.startswith("No session with the dagger engine: ")
        assert "\n" not in caught.value.message
        assert "lr-ci doctor" in caught.value.hint
        assert caught.value.exit_code == 5
        assert CLI_BIN not in os.environ

    async def test_leaves_a_terminal_to_our_own_display(
        self, programs: Programs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # The SDK has a spinner of its own, which it does not end when no session comes about: the cursor stays hidden.
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        programs.add("dagger", "exit 1")
        with pytest.raises(EngineError):
            async with open_session(EngineKind.DAGGER, nobody):
                pytest.fail("there is no session")
        assert "\x1b" not in capsys.readouterr().err

    async def test_that_says_nothing_sensible_is_an_error_of_the_engine(self, programs: Programs) -> None:
        programs.add("dagger", "echo not-json")
        with pytest.raises(EngineError):
            async with open_session(EngineKind.DAGGER, nobody):
                pytest.fail("there is no session")

    async def test_whose_session_is_gone_is_an_error_of_the_engine(
        self, monkeypatch: pytest.MonkeyPatch, forgetful_sdk: None
    ) -> None:
        del forgetful_sdk
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        monkeypatch.setenv(SESSION_PORT, str(port))
        monkeypatch.setenv(TOKEN, "token")
        with pytest.raises(EngineError, match="No session with the dagger engine"):
            async with open_session(EngineKind.DAGGER, nobody):
                await dag.default_platform()

    @pytest.mark.engine
    @pytest.mark.usefixtures("embedded")
    async def test_is_started_by_its_program_and_told_to_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # `lr-ci session` speaks as `dagger session` does, so it can stand for it.
        program = Programs(tmp_path).add(
            "dagger", f'echo "$1" > {tmp_path}/told; echo $$ > {tmp_path}/pid; exec {LR_CI} "$@"'
        )
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        async with open_session(EngineKind.DAGGER, nobody):
            assert os.environ[CLI_BIN] == str(program)
            assert await dag.file("f", "from the program").contents() == "from the program"
        assert (tmp_path / "told").read_text() == "session\n"
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
        assert CLI_BIN not in os.environ
