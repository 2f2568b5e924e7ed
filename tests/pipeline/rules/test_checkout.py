from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.rules.checkout import Commit, commit_time, effective_commit, effective_ref
from pipeline.rules.errors import RefError
from tests.pipeline.samples import OTHER_SHA, SHA, TIME, checkout, commit


def test_the_ref_that_the_caller_gives_comes_first() -> None:
    assert effective_ref(checkout(tags=("v1.2.3",)), "refs/heads/x") == "refs/heads/x"
    assert effective_ref(None, "refs/heads/x") == "refs/heads/x"


def test_then_comes_the_branch_at_head_even_where_a_tag_names_it_too() -> None:
    assert effective_ref(checkout(tags=("v1.2.3",)), None) == "refs/heads/master"


def test_a_detached_head_is_the_one_version_that_names_it() -> None:
    assert effective_ref(checkout(ref=None, tags=("v1", "nightly", "v1.2.3")), None) == "refs/tags/v1.2.3"


def test_a_detached_head_with_several_versions_asks_which_one() -> None:
    with pytest.raises(RefError, match=r"v1\.2\.3, v1\.2\.4-rc\.1 all point to it") as caught:
        effective_ref(checkout(ref=None, tags=("v1.2.3", "v1.2.4-rc.1")), None)
    assert "--ref refs/tags/v1.2.3" in caught.value.hint


@pytest.mark.parametrize("tags", [(), ("nightly", "v1")])
def test_a_detached_head_without_a_version_asks_for_a_ref(tags: tuple[str, ...]) -> None:
    with pytest.raises(RefError, match="9c68c4a, and no version tag"):
        effective_ref(checkout(ref=None, tags=tags), None)


def test_without_a_checkout_ref_and_commit_must_be_given() -> None:
    with pytest.raises(RefError) as caught:
        effective_ref(None, None)
    assert "--ref" in caught.value.hint
    with pytest.raises(RefError) as caught:
        effective_commit(None, None)
    assert "--sha" in caught.value.hint


def test_the_commit_at_head_is_whole() -> None:
    assert effective_commit(checkout(), None) == commit()
    assert effective_commit(checkout(), SHA.upper()) == commit()


def test_another_commit_is_known_by_name_alone() -> None:
    assert effective_commit(checkout(), OTHER_SHA) == Commit(sha=OTHER_SHA)
    assert effective_commit(None, OTHER_SHA) == Commit(sha=OTHER_SHA)


@pytest.mark.parametrize("sha", ["", "HEAD", "9c68c4a"])
def test_a_commit_that_is_not_full_is_refused(sha: str) -> None:
    with pytest.raises(RefError):
        effective_commit(checkout(), sha)


@pytest.mark.parametrize(
    ("message", "subject"),
    [("", ""), ("One", "One"), ("\n\n One \n\nTwo", "One"), ("One\r\nTwo", "One"), ("   ", "")],
)
def test_the_subject_is_the_first_line(message: str, subject: str) -> None:
    assert Commit(sha=SHA, message=message).subject == subject


def test_a_commit_time_is_in_utc() -> None:
    assert commit_time(1_762_180_205) == TIME
    assert commit_time(-1) == datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_the_password_in_an_origin_does_not_show() -> None:
    assert "hunter2" not in repr(checkout(origin="https://user:hunter2@example.com/a/b"))
