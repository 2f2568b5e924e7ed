from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ci.cli import main
from ci.local.doctor import Examination, Finding, Health, examine
from ci.local.engine_choice import CLI_BIN, RUNNER_HOST, require_root
from pipeline.rules.errors import EngineError
from pipeline.rules.platforms import host_platform
from tests.ci.programs import Programs

TOKEN = "ghp_0123456789abcdefghij"
PROGRAMS = ("git", "buildah", "skopeo", "runc", "mmdebstrap", "docker-registry")
CREDENTIALS = "credentials for ghcr.io"
FINDINGS = [
    "engine",
    "git",
    "dagger",
    "container runtime",
    "root",
    "platforms",
    *PROGRAMS[1:],
    "local registry",
    CREDENTIALS,
]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs) -> None:
    """No local registry, no token, and no program but those that a test adds."""
    del programs
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in ("GITHUB_TOKEN", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)  # what the engine needs, whoever runs the tests


async def found() -> dict[str, Finding]:
    return {finding.what: finding for finding in (await examine()).findings}


async def test_everything_that_is_missing_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # tests run as root
    monkeypatch.setattr("ci.local.doctor.runnable_platforms", lambda: {host_platform(): ""})
    examination = await examine()
    assert [finding.what for finding in examination.findings] == FINDINGS
    engine, *others = examination.findings
    assert engine.health is Health.BROKEN
    assert {finding.what: finding.health for finding in others if finding.health is not Health.MISSING} == {
        "platforms": Health.OK
    }
    assert all(finding.remedy for finding in others)
    assert not examination.ready


async def test_what_is_there_is_shown_by_its_version_and_needs_no_remedy(programs: Programs) -> None:
    for name in PROGRAMS:
        programs.add(name, f'test "$*" = --version && echo "{name} 1.2.3" && echo more')
    programs.add("dagger", 'test "$*" = version && echo "dagger v1.2.3"')
    programs.add("docker", 'test "$*" = info')
    findings = await found()
    for name in PROGRAMS:
        assert (findings[name].health, findings[name].found, findings[name].remedy) == (Health.OK, f"{name} 1.2.3", "")
    assert findings["dagger"].found == "dagger v1.2.3"
    assert findings["container runtime"].found == "docker"
    assert findings["engine"].found == "a Dagger engine (dagger and docker are available)"


async def test_another_user_than_root_has_no_embedded_engine(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PROGRAMS:
        programs.add(name, "echo 1")
    assert (await examine()).embedded

    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    examination = await examine()
    assert not examination.embedded
    assert not examination.ready
    with pytest.raises(EngineError, match="requires root, but the current user ID is 1000"):
        require_root()


async def test_a_version_on_standard_error_counts(programs: Programs) -> None:
    programs.add("runc", "echo runc 1.1 >&2")
    assert (await found())["runc"].found == "runc 1.1"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'cannot open shared object' >&2; exit 127", "exits with 127: cannot open shared object"),
        (None, "cannot be started"),
    ],
)
async def test_a_program_that_does_not_work_is_broken_and_not_missing(
    programs: Programs, script: str | None, words: str
) -> None:
    program = programs.add("buildah", script or "")
    if script is None:
        program.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    finding = (await found())["buildah"]
    assert finding.health is Health.BROKEN
    assert words in finding.found
    assert finding.remedy


@pytest.mark.parametrize(
    ("there", "dagger", "embedded"),
    [
        ((), False, False),
        (("buildah",), False, False),
        (("skopeo",), False, False),
        (("buildah", "skopeo"), False, True),
        (("dagger",), False, False),
        (("docker",), False, False),
        (("dagger", "docker"), True, False),
        (("dagger", "podman", "buildah", "skopeo"), True, True),
    ],
)
async def test_either_engine_makes_a_machine_ready(
    programs: Programs, there: tuple[str, ...], *, dagger: bool, embedded: bool
) -> None:
    for name in there:
        programs.add(name)
    examination = await examine()
    assert (examination.dagger, examination.embedded) == (dagger, embedded)
    assert examination.ready is (dagger or embedded)
    assert (examination.findings[0].health is Health.OK) is examination.ready


async def test_an_engine_that_lives_on_needs_no_runtime(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("dagger")
    monkeypatch.setenv(RUNNER_HOST, "tcp://engine:1234")
    findings = await found()
    assert findings["container runtime"].found == "not needed: an engine is at tcp://engine:1234"
    assert findings["engine"].health is Health.OK


async def test_a_dagger_program_that_is_named_but_not_there_is_missing_and_no_engine(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("docker")
    monkeypatch.setenv(CLI_BIN, "/no/such/dagger")
    findings = await found()
    assert findings["dagger"].health is Health.MISSING
    assert findings["engine"].health is Health.BROKEN


async def test_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    examination = await examine()
    assert examination.findings[-1].found == "GITHUB_TOKEN is set"
    assert TOKEN not in examination.model_dump_json()
    assert TOKEN not in repr(examination)


class TestTheCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["lr-ci", "doctor", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert isinstance(left.value.code, int)
        return left.value.code

    def test_ends_well_where_something_can_build(
        self, programs: Programs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        programs.add("buildah")
        programs.add("skopeo")
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        assert self.run(monkeypatch) == 0
        out, err = capsys.readouterr()
        assert err == ""
        for what in FINDINGS:
            assert f"\n{what}: " in f"\n{out}"
        assert TOKEN not in out

    def test_answers_and_then_fails_where_nothing_can(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, "--json") == 5
        out, err = capsys.readouterr()
        examination = Examination.model_validate_json(out, strict=True)
        assert [finding.what for finding in examination.findings] == FINDINGS
        assert set(json.loads(out)) == {"findings", "dagger", "embedded"}
        assert set(json.loads(out)["findings"][0]) == {"what", "health", "found", "remedy"}
        assert err.splitlines() == [
            "error: No engine is available: no Dagger engine responds, and the embedded engine is incomplete.",
            "`make setup` installs what the embedded engine requires.",
        ]

    def test_shows_what_a_program_says_as_it_is(
        self, programs: Programs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        programs.add("buildah")
        programs.add("skopeo")
        monkeypatch.setenv("COLUMNS", "200")
        programs.add("runc", "echo 'runc [/] [red]1.2[/red] C:\\\\'")
        assert self.run(monkeypatch) == 0
        assert "runc [/] [red]1.2[/red] C:\\\n" in capsys.readouterr().out


def test_looking_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TestTheCommand().run(monkeypatch, "--json")
    assert not (tmp_path / "cache").exists()


async def test_a_login_of_docker_is_named_by_its_place(tmp_path: Path, programs: Programs) -> None:
    config = tmp_path / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"credsStore": "test"}))
    broken = (await found())[CREDENTIALS]
    assert (broken.health, broken.found.split(": ")[1]) == (Health.BROKEN, "docker-credential-test is not installed.")
    assert "docker login ghcr.io" in broken.remedy

    programs.add("docker-credential-test", f'echo \'{{"Username": "octocat", "Secret": "{TOKEN}"}}\'')

    finding = (await found())[CREDENTIALS]
    assert finding.health is Health.OK
    assert finding.found == f"user 'octocat' in docker-credential-test, which {config} refers to"
