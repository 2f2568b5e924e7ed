"""What `lr-ci` reads from files is what the module's functions take."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.settings.arguments import CONSTRUCTOR, FUNCTIONS, Kind, read_function_default, read_value, spelled
from pipeline.rules.shared_options import BuildOptions, ImageOptions, options_of
from tests.pipeline.interface import registered

_FUNCTION = re.compile(r"  (?:function )?(?P<name>[a-z-]+) -> ")
_ARGUMENT = re.compile(r"    --(?P<name>[a-z-]+): (?P<type>[^ ]+)")
KINDS = {
    "str": Kind.TEXT,
    "int": Kind.INTEGER,
    "bool": Kind.BOOLEAN,
    "list[str]": Kind.LIST,
    "list[Secret]": Kind.SECRETS,
    "Secret": Kind.SECRET,
    "Service": Kind.SERVICE,
    "LatestPolicy": Kind.SCALAR,
}


async def taken_by_the_module(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Kind]]:
    found: dict[str, dict[str, Kind]] = {}
    arguments: dict[str, Kind] = {}
    for line in (await registered(monkeypatch)).splitlines():
        if function := _FUNCTION.match(line):
            arguments = found.setdefault(function["name"].replace("-", "_"), {})
        elif argument := _ARGUMENT.match(line):
            arguments[argument["name"].replace("-", "_")] = KINDS[argument["type"]]
    return found


async def test_the_arguments_are_the_modules_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = await taken_by_the_module(monkeypatch)
    assert taken.pop("constructor") == CONSTRUCTOR
    assert taken == FUNCTIONS


def test_each_option_of_an_image_is_an_argument_of_the_constructor() -> None:
    options = {*options_of(BuildOptions), *options_of(ImageOptions)}
    assert {*CONSTRUCTOR} - {"build_secret_id"} == options


def test_names_are_spelled_as_in_the_api() -> None:
    assert [spelled(name) for name in ("name", "build_secret_id")] == ["name", "buildSecretId"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.TEXT, "a,b", "a,b"),
        (Kind.LIST, "a, b", ("a", " b")),
        (Kind.INTEGER, "80", 80),
        (Kind.BOOLEAN, "false", False),
        (Kind.SCALAR, '"NEVER"', "NEVER"),
        (Kind.SECRET, "TOKEN", "env:TOKEN"),
        (Kind.SECRETS, "A, file://b", ("env:A", "file://b")),
    ],
)
def test_a_value_is_of_its_arguments_type(kind: Kind, text: str, value: object) -> None:
    assert read_value(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Kind.INTEGER, "1.5", "an integer"),
        (Kind.BOOLEAN, "yes", "true or false"),
        (Kind.BOOLEAN, '"true"', "true or false"),
        (Kind.SCALAR, "7", 'a JSON string, "7"'),
    ],
)
def test_a_value_of_another_type_says_what_is_expected(kind: Kind, text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{expected}$"):
        read_value(kind, text)


@given(st.sampled_from(Kind), st.text())
def test_any_text_is_a_value_or_says_what_is_expected(kind: Kind, text: str) -> None:
    for read in (read_value, read_function_default):
        try:
            read(kind, text)
        except ValueError as error:
            assert type(error) is ValueError  # noqa: PT017 - or it succeeds
