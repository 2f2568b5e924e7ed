from __future__ import annotations

import platform

import pytest
from hypothesis import given

from pipeline.rules.errors import UsageError
from pipeline.rules.platforms import Platform, host_platform, parse_platform
from tests.pipeline.strategies import anything


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("AMD64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("i686", "linux/386"),
        ("riscv64", "linux/riscv64"),
    ],
)
def test_the_host_builds_linux_images_for_its_processor(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert str(host_platform()) == expected
    assert parse_platform(expected) == host_platform()


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/amd64/8", "Linux/amd64", "linux/amd64\n", "a/b/v1/c"]
)
def test_any_other_text_is_not_a_platform(text: str) -> None:
    with pytest.raises(UsageError, match=r"Invalid platform .*: expected os/architecture"):
        parse_platform(text)


@given(anything)
def test_every_text_is_a_platform_or_an_error(text: str) -> None:
    message = ""
    try:
        assert str(parse_platform(text)) == text
    except UsageError as error:
        message = error.message
    assert message.isprintable()


def test_variants_make_no_difference_to_what_runs() -> None:
    assert parse_platform("linux/arm64/v8").matches(Platform("linux", "arm64"))
    assert not parse_platform("linux/arm64").matches(Platform("linux", "amd64"))
