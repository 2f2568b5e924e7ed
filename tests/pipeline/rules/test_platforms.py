from __future__ import annotations

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.errors import UsageError
from pipeline.rules.platforms import Platform, host_platform, parse_platform, parse_platforms
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


@given(st.lists(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"]), min_size=1))
def test_platforms_are_the_same_in_any_order_and_number(names: list[str]) -> None:
    platforms = parse_platforms(", ".join(names))
    assert str(platforms) == ",".join(sorted(set(names)))
    assert parse_platforms(str(platforms)) == platforms
    assert platforms.match([parse_platform(name) for name in set(names)])


@pytest.mark.parametrize("text", ["", ",", "linux/amd64,", "linux/amd64,,linux/arm64", "linux/amd64;linux/arm64"])
def test_a_list_with_anything_else_in_it_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid platform"):
        parse_platforms(text)


@pytest.mark.parametrize("text", ["linux/arm/v6,linux/arm/v7", "linux/amd64,linux/arm64/v8,linux/arm64"])
def test_an_image_has_one_variant_of_an_architecture(text: str) -> None:
    with pytest.raises(UsageError, match="an image can have only one of"):
        parse_platforms(text)


def test_platforms_match_only_if_none_is_missing_or_added() -> None:
    both = parse_platforms("linux/amd64,linux/arm64")
    assert both.match([Platform("linux", "arm64", "v8"), Platform("linux", "amd64")])
    assert not both.match([Platform("linux", "amd64")])
    assert not both.match([Platform("linux", "amd64"), Platform("linux", "amd64")])
    assert not parse_platforms("linux/amd64").match([Platform("linux", "amd64"), Platform("linux", "arm64")])


def test_commands_run_on_the_own_platform_if_the_image_has_it() -> None:
    both = parse_platforms("linux/amd64,linux/arm64")
    assert both.preferred(Platform("linux", "arm64")) == Platform("linux", "arm64")
    assert both.preferred(Platform("linux", "riscv64")) == Platform("linux", "amd64")
