from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.errors import UsageError, VerificationError
from pipeline.rules.runtime_checks import (
    CheckKind,
    CheckResult,
    HealthCheck,
    ImageRuntime,
    RuntimeChecks,
    VerifiedImage,
    image_runtime,
    parse_command,
    server_check,
)
from tests.pipeline.samples import DIGEST, IMAGE
from tests.pipeline.strategies import anything


@pytest.mark.parametrize("command", ["", "  "])
def test_a_command_that_is_empty_is_refused(command: str) -> None:
    with pytest.raises(UsageError, match="is empty"):
        RuntimeChecks(command=parse_command(command))


def test_a_command_is_split_as_a_shell_would() -> None:
    assert parse_command("sh -c 'echo a b'") == ("sh", "-c", "echo a b")
    with pytest.raises(UsageError, match='Invalid command "\'": No closing quotation'):
        parse_command("'")


@given(anything)
def test_every_command_is_split_or_refused(text: str) -> None:
    message = ""
    try:
        parse_command(text)
    except UsageError as error:
        message = error.message
    assert message.isprintable()


@pytest.mark.parametrize("path", ["", "up", " /up", "http://localhost/up"])
def test_a_path_begins_with_a_slash(path: str) -> None:
    with pytest.raises(UsageError, match="Invalid path"):
        RuntimeChecks(path=path)


@pytest.mark.parametrize("port", [-1, 0, 65_536])
def test_a_port_is_one_of_tcps(port: int) -> None:
    with pytest.raises(UsageError, match=f"Invalid port {port}: it must be between 1 and 65535"):
        RuntimeChecks(port=port)
    assert RuntimeChecks(port=65_535).port == 65_535


def test_what_an_image_did_is_told_by_a_line_for_each_check() -> None:
    checks = (CheckResult(check="app --version", result="1.2"), CheckResult(check="/up", result="200"))
    assert VerifiedImage(reference=IMAGE.at(DIGEST), checks=checks).summary().splitlines() == [
        f"ghcr.io/linkradar/lr-backend@{DIGEST}",
        "app --version: 1.2",
        "/up: 200",
    ]


SECOND = 1_000_000_000


def test_an_image_says_how_it_runs() -> None:
    config = {
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "ExposedPorts": {"8080/tcp": {}, "443": {}, "53/udp": {}, "8000-8010/tcp": {}, "70000/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "curl", "x"], "Interval": 2 * SECOND, "StartPeriod": 15 * SECOND, "Retries": 5},
    }
    assert image_runtime(config) == ImageRuntime(
        command=("/entry", "serve"),
        ports=(443, 8080),
        health=HealthCheck(("curl", "x"), grace=17, pause=2, limit=30, retries=5),
    )
    assert image_runtime(None) == image_runtime({}) == image_runtime({"Cmd": None}) == ImageRuntime()


@pytest.mark.parametrize(
    ("health", "command"),
    [
        ({"Test": ["CMD-SHELL", "a | b"]}, ("/bin/sh", "-c", "a | b")),
        ({"Test": ["NONE"]}, None),
        ({"Test": ["CMD"]}, None),
        ({"Test": []}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_healthcheck_is_a_command_or_none(health: object, command: tuple[str, ...] | None) -> None:
    found = image_runtime({"Healthcheck": health}).health
    assert (None if found is None else found.command) == command


def test_a_healthcheck_in_the_shell_form_uses_the_images_shell() -> None:
    found = image_runtime({"Healthcheck": {"Test": ["CMD-SHELL", "x"]}, "Shell": ["/bin/bash", "-ec"]}).health
    assert found is not None
    assert found.command == ("/bin/bash", "-ec", "x")


@given(*[st.integers(-(10**18), 10**18)] * 4)
def test_the_times_of_a_healthcheck_have_bounds(interval: int, timeout: int, start: int, retries: int) -> None:
    times = {"Interval": interval, "Timeout": timeout, "StartPeriod": start, "Retries": retries}
    found = image_runtime({"Healthcheck": {"Test": ["CMD", "x"], **times}}).health
    assert found is not None
    assert 1 <= found.grace <= 330
    assert 1 <= found.pause <= 5
    assert 1 <= found.limit <= 60
    assert 1 <= found.retries <= 10


@pytest.mark.parametrize("config", [7, ["x"], {"Cmd": "serve"}, {"ExposedPorts": ["80"]}, {"Healthcheck": {"Test": 1}}])
def test_a_configuration_that_is_not_valid_is_refused(config: object) -> None:
    with pytest.raises(ValueError, match="not a valid image configuration"):
        image_runtime(config)


HEALTH = HealthCheck(("ok",), grace=1, pause=1, limit=1, retries=1)
COMMAND = ("serve",)


@pytest.mark.parametrize(
    ("checks", "image", "kind", "what"),
    [
        (RuntimeChecks(), ImageRuntime(COMMAND, (80,), HEALTH), CheckKind.HEALTH, "HEALTHCHECK"),
        (RuntimeChecks(), ImageRuntime(COMMAND, (80, 81)), CheckKind.PORT, "port 80 or 81"),
        (RuntimeChecks(), ImageRuntime(COMMAND), CheckKind.UP, "start"),
        (RuntimeChecks(path="/up"), ImageRuntime(COMMAND, (80,), HEALTH), CheckKind.HTTP, "/up"),
        (RuntimeChecks(port=9), ImageRuntime(COMMAND, (80,), HEALTH), CheckKind.PORT, "port 9"),
        (RuntimeChecks(command=("x",), port=9), ImageRuntime(COMMAND), CheckKind.PORT, "port 9"),
    ],
)
def test_what_is_checked_follows_from_options_and_image(
    checks: RuntimeChecks, image: ImageRuntime, kind: CheckKind, what: str
) -> None:
    found = server_check(checks, image)
    assert found is not None
    assert (found.kind, found.what, found.command) == (kind, what, COMMAND)
    assert found.required == (checks.path is not None or checks.port is not None)
    assert found.port_variable == ("" if checks.port is None else "9")


def test_a_command_alone_replaces_the_images_own_checks() -> None:
    assert server_check(RuntimeChecks(command=("x",)), ImageRuntime(COMMAND, (80,), HEALTH)) is None


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(UsageError, match="exposes no port to request /up from"):
        server_check(RuntimeChecks(path="/up"), ImageRuntime(COMMAND))
    with pytest.raises(VerificationError, match="neither ENTRYPOINT nor CMD"):
        server_check(RuntimeChecks(), ImageRuntime())
