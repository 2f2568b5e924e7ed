from __future__ import annotations

import anyio
import pytest

from ci.local import engine_choice
from ci.local.engine_choice import (
    CLI_BIN,
    RUNNER_HOST,
    SESSION_PORT,
    EngineChoice,
    EngineKind,
    choose_engine,
    dagger_program,
    find_runtime,
)
from pipeline.rules.errors import EngineError
from tests.ci.programs import Programs

NO_DAEMON = (
    "echo 'Client: 28.2.2'; echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit {}"
)


async def test_without_dagger_the_embedded_engine_is_taken(programs: Programs) -> None:
    programs.add("docker")
    assert await choose_engine(EngineChoice.AUTO) == (EngineKind.EMBEDDED, "dagger is not on PATH")


@pytest.mark.parametrize("runtime", ["docker", "podman", "nerdctl"])
async def test_dagger_and_a_runtime_are_a_dagger_engine(programs: Programs, runtime: str) -> None:
    programs.add("dagger")
    programs.add(runtime, 'test "$*" = info')
    assert await choose_engine(EngineChoice.AUTO) == (EngineKind.DAGGER, f"dagger and {runtime} are available")


async def test_dagger_without_a_runtime_is_not_used(programs: Programs) -> None:
    programs.add("dagger")
    assert await choose_engine(EngineChoice.AUTO) == (EngineKind.EMBEDDED, "no container runtime responds")


@pytest.mark.parametrize("exit_code", [0, 1])
async def test_a_client_without_its_daemon_is_not_a_runtime(programs: Programs, exit_code: int) -> None:
    programs.add("dagger")
    programs.add("docker", NO_DAEMON.format(exit_code))  # before version 23 its exit status was 0
    assert (await choose_engine(EngineChoice.AUTO))[0] is EngineKind.EMBEDDED


async def test_a_runtime_behind_one_that_does_not_answer_is_found(programs: Programs) -> None:
    programs.add("docker", NO_DAEMON.format(1))
    programs.add("podman")
    assert await find_runtime() == "podman"


async def test_a_runtime_that_does_not_answer_in_time_is_not_used(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add_real("sleep")
    programs.add("docker", "sleep 600")
    monkeypatch.setattr(engine_choice, "_RUNTIME_SECONDS", 0.2)
    with anyio.fail_after(60):
        assert await find_runtime() is None


async def test_a_runtime_that_cannot_start_is_not_used(programs: Programs) -> None:
    programs.add("docker").write_text("#!/no/such/interpreter\n", encoding="utf-8")
    assert await find_runtime() is None


async def test_an_engine_that_lives_on_needs_dagger_and_no_runtime(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNNER_HOST, "tcp://engine:1234")
    assert (await choose_engine(EngineChoice.AUTO))[0] is EngineKind.EMBEDDED
    programs.add("dagger")
    assert await choose_engine(EngineChoice.AUTO) == (EngineKind.DAGGER, f"{RUNNER_HOST} is set")


@pytest.mark.parametrize("choice", [EngineChoice.AUTO, EngineChoice.DAGGER])
async def test_an_open_session_is_taken(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, choice: EngineChoice
) -> None:
    assert list(programs.folder.iterdir()) == []
    monkeypatch.setenv(SESSION_PORT, "4321")
    assert await choose_engine(choice) == (EngineKind.DAGGER, "a session is already open")


async def test_the_embedded_engine_is_taken_when_asked_for_whatever_is_there(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("dagger")
    programs.add("docker")
    monkeypatch.setenv(SESSION_PORT, "4321")
    assert await choose_engine(EngineChoice.EMBEDDED) == (EngineKind.EMBEDDED, "as requested")


async def test_a_dagger_engine_that_is_asked_for_must_be_there(programs: Programs) -> None:
    programs.add("docker")
    with pytest.raises(EngineError) as caught:
        await choose_engine(EngineChoice.DAGGER)
    assert caught.value.message == "No Dagger engine is available: dagger is not on PATH."
    assert "--engine embedded" in caught.value.hint
    assert caught.value.exit_code == 5


async def test_a_dagger_engine_that_is_asked_for_is_taken(programs: Programs) -> None:
    programs.add("dagger")
    programs.add("docker")
    assert (await choose_engine(EngineChoice.DAGGER))[0] is EngineKind.DAGGER


async def test_the_environment_may_name_the_dagger_program(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = programs.add("dagger-of-another-name")
    programs.add("docker")
    monkeypatch.setenv(CLI_BIN, str(elsewhere))
    assert dagger_program() == str(elsewhere)
    assert (await choose_engine(EngineChoice.AUTO))[0] is EngineKind.DAGGER


async def test_a_configured_dagger_program_that_is_not_found_is_ignored(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("docker")
    programs.add("dagger")
    monkeypatch.setenv(CLI_BIN, "/no/such/dagger")
    assert dagger_program() is None
    assert await choose_engine(EngineChoice.AUTO) == (EngineKind.EMBEDDED, f"{CLI_BIN} is not a program")
