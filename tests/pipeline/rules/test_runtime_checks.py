from __future__ import annotations

import pytest
from hypothesis import given

from pipeline.rules.errors import UsageError
from pipeline.rules.runtime_checks import RuntimeChecks, VerifiedImage, parse_command
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
    assert RuntimeChecks(port=65_535).path == "/up"


def test_what_an_image_answered_is_told_in_three_lines() -> None:
    image = VerifiedImage(reference=IMAGE.at(DIGEST), output="Rails 6.1.7", status="200")
    assert image.summary(RuntimeChecks()).splitlines() == [
        f"ghcr.io/linkradar/lr-backend@{DIGEST}",
        "bin/rails --version: Rails 6.1.7",
        "/up: 200",
    ]
