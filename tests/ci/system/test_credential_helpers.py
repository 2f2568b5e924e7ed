from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from ci.system import credential_helpers
from ci.system.credential_helpers import HelperError, HelperLogin, ask_helper
from tests.ci.programs import Programs

SECRET = "hunter2-0123456789"
ANSWER = json.dumps({"ServerURL": "ghcr.io", "Username": "octocat", "Secret": SECRET})


async def test_a_helper_reads_the_server_on_standard_input_and_nothing_else(programs: Programs, tmp_path: Path) -> None:
    programs.add_real("cat")
    programs.add("docker-credential-test", f"echo \"$*\" > {tmp_path}/words; cat > {tmp_path}/server; echo '{ANSWER}'")

    found = await ask_helper("test", "ghcr.io")

    assert isinstance(found, HelperLogin)
    assert (found.username, found.secret.get_secret_value()) == ("octocat", SECRET)
    assert (tmp_path / "words").read_text() == "get\n"
    assert (tmp_path / "server").read_text() == "ghcr.io"
    assert SECRET not in repr(found)


async def test_a_helper_has_the_variables_that_it_may_need(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    answer = '{"Username": "AWS", "Secret": "\'$AWS_SECRET_ACCESS_KEY\'"}'
    programs.add("docker-credential-test", f"echo '{answer}'")
    found = await ask_helper("test", "registry.example.com")
    assert found is not None
    assert found.secret.get_secret_value() == SECRET


async def test_a_helper_without_a_login_is_not_a_failure(programs: Programs) -> None:
    programs.add("docker-credential-test", "echo credentials not found in native keychain; exit 1")
    assert await ask_helper("test", "ghcr.io") is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"echo {SECRET}; echo {SECRET} >&2; exit 3", "docker-credential-test failed with exit code 3"),
        (f"echo {SECRET}", "the answer of docker-credential-test is not valid"),
        (f'echo \'{{"Username": "", "Secret": "{SECRET}"}}\'', "the answer of docker-credential-test is not valid"),
        (f'echo \'{{"Username": "{SECRET}"}}\'', "the answer of docker-credential-test is not valid"),
        ("while :; do echo 0123456789012345678901234567890; done", "the answer of docker-credential-test is not valid"),
    ],
)
async def test_a_failure_is_reported_without_the_helpers_output(programs: Programs, script: str, reason: str) -> None:
    programs.add("docker-credential-test", script)
    with pytest.raises(HelperError) as raised:
        await ask_helper("test", "ghcr.io")
    assert str(raised.value) == reason
    assert SECRET not in "".join(traceback.format_exception(raised.value, chain=True))


async def test_a_helper_has_a_time_limit(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_helpers, "_SECONDS", 0.2)
    programs.add_real("sleep")
    programs.add("docker-credential-test", "sleep 60")
    with pytest.raises(HelperError, match="did not end within 0 s"):
        await ask_helper("test", "ghcr.io")


@pytest.mark.usefixtures("programs")
async def test_a_missing_helper_is_reported() -> None:
    with pytest.raises(HelperError, match=r"^docker-credential-test is not installed$"):
        await ask_helper("test", "ghcr.io")


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("name", ["", "../../bin/true", "a b", "-x"])
async def test_a_helper_is_a_name_and_not_a_path(name: str) -> None:
    with pytest.raises(HelperError, match="name of the credential helper is not valid"):
        await ask_helper(name, "ghcr.io")
