from __future__ import annotations

import http

import dagger
import gql
import pytest
from dagger._exceptions import QueryErrorValue
from pydantic import SecretStr

from pipeline.engine.failures import build_error, pull_error, upload_error
from pipeline.registry.credentials import Credentials
from pipeline.rules.errors import AuthError, BuildError, EngineError, PipelineError, RegistryError, TransientError
from pipeline.rules.failed_step import Dockerfile
from pipeline.rules.http_statuses import RETRIED
from tests.pipeline.samples import IMAGE

REFERENCE = IMAGE.tagged("sha-9c68c4a")
WHAT = "lr-backend", Dockerfile("Dockerfile", 'FROM a\nRUN bundle install "quietly"\n')
LOST = dagger.ClientConnectionError("connection refused")


def _engine_says(text: str, **extensions: object) -> dagger.QueryError:
    return dagger.QueryError([QueryErrorValue(text, extensions=extensions)], gql.gql("{ version }"))


def _exec_extensions(command: list[str], code: int, *, stdout: str = "", stderr: str = "") -> dict[str, object]:
    return {"_type": "EXEC_ERROR", "cmd": command, "exitCode": code, "stdout": stdout, "stderr": stderr}


def _exec_error(command: list[str], code: int, *, stdout: str = "", stderr: str = "") -> dagger.QueryError:
    error = _engine_says("exit code", **_exec_extensions(command, code, stdout=stdout, stderr=stderr))
    assert isinstance(error, dagger.ExecError)
    return error


def test_a_failed_step_of_a_dockerfile_is_told_with_command_code_and_output() -> None:
    text = (
        'failed to solve: process "/bin/sh -c bundle install \\"quietly\\"" did not complete successfully: '
        "exit code: 5\nstderr:\n\x1b[31mCould not find gem 'raild'\x1b[0m\n"
    )
    error = build_error(_engine_says(text), *WHAT)
    assert isinstance(error, BuildError)
    assert str(error).splitlines() == [
        "lr-backend from Dockerfile could not be built:",
        '`bundle install "quietly"` exited with 5 (line 2 of Dockerfile):',
        "  1 | FROM a",
        '> 2 | RUN bundle install "quietly"',
        "Its output:",
        "  | stderr:",
        "  | Could not find gem 'raild'",
    ]


def test_both_streams_of_a_failed_command_are_told_in_their_order_if_the_engine_knows_it() -> None:
    failed = _exec_extensions(["make", "test"], 2, stdout="FAILED: AssertionError\n", stderr="make: *** Error 1\n")
    apart = build_error(_engine_says("exit code", **failed), *WHAT)
    assert str(apart).splitlines()[1:] == [
        "`make test` exited with 2:",
        "Its output:",
        "  | FAILED: AssertionError",
        "  | make: *** Error 1",
    ]
    ordered = build_error(_engine_says("exit code", **failed, output="make: *** Error 1\nFAILED\n"), *WHAT)
    assert str(ordered).splitlines()[-2:] == ["  | make: *** Error 1", "  | FAILED"]
    silent = build_error(_exec_error(["true"], 1), *WHAT)
    assert str(silent).endswith("`true` exited with 1 without output")


@pytest.mark.parametrize(
    "error",
    [
        _engine_says("exec format error: RUN (line 2 of Dockerfile) for linux/arm64 cannot run"),
        _exec_error(["/bin/sh", "-c", "make"], 1, stderr="exec /bin/sh: exec format error\n"),
        _engine_says('process "/bin/sh -c make" did not complete successfully: exit code: 1\nexec format error'),
    ],
)
def test_a_program_of_another_processor_says_where_an_emulator_comes_from(error: dagger.QueryError) -> None:
    made = build_error(error, *WHAT)
    assert isinstance(made, BuildError)
    assert "exec format error" in made.message
    assert "qemu-user-static" in made.hint


@pytest.mark.parametrize("kind", ["query", "exec"])
def test_a_full_disk_says_so(kind: str) -> None:
    text = "write /var/lib/x: No space left on device"
    extensions = {} if kind == "query" else _exec_extensions(["true"], 1)
    made = _engine_says(text, **extensions)
    error = build_error(made, *WHAT)
    assert isinstance(error, BuildError)
    assert "no space left" in error.message
    assert "Free some space" in error.hint


def test_a_full_disk_that_only_the_command_saw_says_so() -> None:
    error = build_error(_exec_error(["tar"], 2, stderr="tar: a: Cannot write: No space left on device\n"), *WHAT)
    assert "No space left on device" in str(error)


def test_any_other_failure_to_build_is_passed_on_on_one_line() -> None:
    error = build_error(_engine_says("dockerfile parse error on line 3:\n unknown instruction: FORM"), *WHAT)
    assert isinstance(error, BuildError)
    assert error.message.endswith("could not be built: dockerfile parse error on line 3: unknown instruction: FORM")


def test_long_output_is_cut() -> None:
    error = build_error(_engine_says("x" * 1_000_000), *WHAT)
    assert len(str(error)) < 1000
    error = build_error(_exec_error(["y" * 100_000], 1, stderr="z" * 1_000_000), *WHAT)
    assert len(str(error)) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "push access denied, repository does not exist or may require authorization: no basic auth credentials",
        "failed to push: unexpected status from HEAD request to https://ghcr.io/v2/a/b/blobs/x: 401 Unauthorized",
        "unexpected status from PUT request to https://ghcr.io/v2/a/b/manifests/x: 403 Forbidden",
        "server message: insufficient_scope: authorization failed: 401",
        "denied: permission_denied: write_package",
        "failed to authorize: failed to fetch oauth token: authentication required",
    ],
)
def test_a_registry_that_refuses_is_an_auth_error_with_the_way_out(text: str) -> None:
    for error in (upload_error(_engine_says(text), IMAGE, REFERENCE), pull_error(_engine_says(text), IMAGE, REFERENCE)):
        assert isinstance(error, AuthError)
        assert REFERENCE in error.message
        assert "packages: write" in error.hint


@pytest.mark.parametrize(
    ("text", "transient"),
    [
        ("short read: expected 10485760 bytes but got 0: unexpected EOF", True),
        ("short read: expected 403 bytes but got 0: unexpected EOF", True),
        ("short read: expected 1024 bytes but got 401: unexpected EOF", True),
        ("unexpected status from HEAD request to https://ghcr.io/v2/a/b/blobs/x: 502 Bad Gateway", True),
        ("unexpected status from PUT request to http://localhost:403/v2/a/b/blobs/x: 503 Service Unavailable", True),
        ("unexpected status from POST request to https://ghcr.io/v2/a/b/blobs/x: 429 Too Many Requests", True),
        ('failed to do request: Put "https://ghcr.io/v2/": read tcp 1.2.3.4: connection reset by peer', True),
        ('failed to do request: Put "https://ghcr.io/v2/": dial tcp: lookup ghcr.io: no such host', False),
        ("unexpected status from PUT request to https://ghcr.io/v2/a/b/manifests/x: 400 Bad Request", False),
        ("unexpected status from PUT request to https://ghcr.io/v2/a/b/manifests/x: 404 Not Found", False),
        ("dial tcp 127.0.0.1:5001: connect: connection refused", True),
        ("skopeo copy made no progress in 120 s and was stopped", True),
        ("initiating layer upload to /v2/a/b/blobs/uploads/ in ghcr.io: unknown: try later", True),
    ],
)
def test_any_other_failure_to_upload_can_be_tried_again(text: str, *, transient: bool) -> None:
    error = upload_error(_engine_says(text), IMAGE, REFERENCE)
    assert isinstance(error, RegistryError)
    assert isinstance(error, TransientError) is transient
    assert REFERENCE in error.message
    assert "again" in error.hint


def test_a_registry_that_repeats_the_credentials_is_not_quoted_with_them() -> None:
    credentials = Credentials(username="mona", password=SecretStr("hunter2"))
    basic = credentials.basic()
    for make in (upload_error, pull_error):
        for text in (f"denied: {basic}", "x: hunter2 is invalid", f"bad header {basic.removeprefix('Basic ')}"):
            error = make(_engine_says(text), IMAGE, REFERENCE, credentials)
            assert "***" in error.message
            assert not [secret for secret in ("hunter2", basic) if secret in str(error)]


def test_an_engines_text_of_a_retried_status_is_transient() -> None:
    for status in RETRIED:
        text = f"unexpected status from PUT request to https://ghcr.io/v2/a: {status} {http.HTTPStatus(status).phrase}"
        assert isinstance(upload_error(_engine_says(text), IMAGE, REFERENCE), TransientError)


def test_an_image_that_cannot_be_pulled_says_which() -> None:
    error = pull_error(_engine_says(f"{REFERENCE}: not found"), IMAGE, REFERENCE)
    assert isinstance(error, RegistryError)
    assert REFERENCE in error.message


def test_an_engine_that_does_not_answer_is_not_a_build_failure() -> None:
    errors: list[PipelineError] = [
        build_error(LOST, *WHAT),
        upload_error(LOST, IMAGE, REFERENCE),
        pull_error(LOST, IMAGE, REFERENCE),
    ]
    for error in errors:
        assert isinstance(error, EngineError)
        assert "connection refused" in error.message
        assert ".." not in error.message
