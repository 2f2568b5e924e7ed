from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.errors import UsageError
from pipeline.rules.source_path import is_below, parse_source


@pytest.mark.parametrize(
    "text", ["services/api", "/services/api", "./services/api", "services//api/", "/./services/./api"]
)
def test_every_spelling_of_a_path_starts_at_the_top(text: str) -> None:
    assert parse_source(text) == "services/api"


@pytest.mark.parametrize("text", [".", "/", "./", "//"])
def test_the_top_itself_is_a_source(text: str) -> None:
    assert parse_source(text) == "."
    assert is_below("anything/at/all", parse_source(text))


@pytest.mark.parametrize("text", ["..", "../other", "services/../../other", "/..", "a/../b", "", "a\nb", "a\x00b"])
def test_a_path_outside_the_repository_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid source"):
        parse_source(text)


def test_a_directory_with_a_longer_name_is_not_below() -> None:
    assert is_below("services/api/file", "services/api")
    assert is_below("services/api", "services/api")
    assert not is_below("services/api2/file", "services/api")


@given(st.text("a./ ", max_size=12))
def test_a_parsed_path_stays_in_the_repository_and_as_it_is(text: str) -> None:
    try:
        parsed = parse_source(text)
    except UsageError:
        return
    assert posixpath.normpath(parsed) == parsed
    assert not posixpath.isabs(parsed)
    assert parse_source(parsed) == parsed
