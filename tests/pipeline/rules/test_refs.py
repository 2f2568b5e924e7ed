from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.rules.errors import RefError
from pipeline.rules.refs import BranchRef, Version, VersionRef, parse_commit, parse_ref, parse_version, short_sha
from tests.pipeline.samples import SHA
from tests.pipeline.strategies import anything, commits, refs, versions

SPEC_CHAIN = [
    "v1.0.0-alpha",
    "v1.0.0-alpha.1",
    "v1.0.0-alpha.beta",
    "v1.0.0-beta",
    "v1.0.0-beta.2",
    "v1.0.0-beta.11",
    "v1.0.0-rc.1",
    "v1.0.0",
]
"""The example of SemVer 2.0.0, section 11."""


def _version(text: str) -> Version:
    version = parse_version(text)
    assert version is not None
    return version


@pytest.mark.parametrize("name", ["master", "feature/links", "v1.2.3", "a b", "ünï", "refs/heads/x", "-", "."])
def test_a_branch_is_what_follows_refs_heads(name: str) -> None:
    assert parse_ref(f"refs/heads/{name}") == BranchRef(full_name=f"refs/heads/{name}", name=name)


@pytest.mark.parametrize("tag", ["v0.0.0", "v1.2.3", "v1.2.3-rc.1", "v1.2.3+b.7", "v1.2.3-0.a-b+00"])
def test_a_version_tag_is_a_version(tag: str) -> None:
    parsed = parse_ref(f"refs/tags/{tag}")
    assert isinstance(parsed, VersionRef)
    assert str(parsed.version) == tag


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "master",
        "v1.2.3",
        "HEAD",
        "refs/heads/",
        "refs/tags/",
        "refs/heads",
        "refs/pull/7/merge",
        "refs/remotes/origin/master",
        "refs/tags/vendor.x.y",
        "refs/tags/v1.2.3.4",
        "refs/tags/v1",
        "refs/tags/v1.2",
        "refs/tags/1.2.3",
        "refs/tags/V1.2.3",
        "refs/tags/v01.2.3",
        "refs/tags/v1.02.3",
        "refs/tags/v1.2.03",
        "refs/tags/v1.2.3-",
        "refs/tags/v1.2.3-01",
        "refs/tags/v1.2.3-a..b",
        "refs/tags/v1.2.3+",
        "refs/tags/v1.2.3+a_b",
        "refs/tags/v1.2.3\n",
        "refs/tags/v\u0661.2.3",
        "refs/tags/v1.2.3 ",
        "refs/heads/a\nb",
        "refs/heads/a\x00",
        "refs/heads/a\x85b",
        "refs/heads/a\u2028b",
        "refs/heads/a\ud800b",
        "refs/heads/\udce9",
        " refs/heads/a",
        "Refs/Heads/a",
    ],
)
def test_anything_else_is_refused_with_what_can_be_published(ref: str) -> None:
    with pytest.raises(RefError) as caught:
        parse_ref(ref)
    assert "refs/heads/<branch>" in caught.value.hint
    assert "vX.Y.Z" in caught.value.hint
    assert "\n" not in caught.value.message
    assert "\n" not in caught.value.hint


@given(refs)
@example("refs/heads/\ud800")
@example("refs/tags/v1.2.3\udfff")
def test_every_text_is_a_ref_or_an_error_on_one_line(ref: str) -> None:
    message = ""
    try:
        assert parse_ref(ref).full_name == ref
    except RefError as error:
        message = error.message
    assert message.isprintable()
    assert message.encode() is not None
    assert len(message) < 1000


def test_an_enormous_version_is_invalid() -> None:
    assert parse_version(f"v{'9' * 5000}.0.0") is None
    assert parse_version(f"v{'9' * 80}.0.0") is not None


@given(versions)
def test_a_version_reads_as_what_it_is_written_as(version: Version) -> None:
    assert parse_version(str(version)) == version


@given(anything.map(lambda text: f"v1.2.3{text}"))
def test_what_reads_as_a_version_is_written_the_same(text: str) -> None:
    version = parse_version(text)
    assert version is None or str(version) == text


def test_versions_are_ordered_as_in_the_specification() -> None:
    chain = [_version(text) for text in [*SPEC_CHAIN, "v1.0.1", "v1.1.0", "v2.0.0", "v2.1.0", "v2.1.1", "v2.10.0"]]
    for place, lower in enumerate(chain):
        for higher in chain[place + 1 :]:
            assert lower < higher
            assert higher > lower
            assert lower != higher


def _precedence_of_the_spec(first: Version, second: Version) -> int:
    """Compare by section 11 in its own words: -1, 0 or 1; build metadata does not count."""
    for a, b in zip((first.major, first.minor, first.patch), (second.major, second.minor, second.patch), strict=True):
        if a != b:
            return -1 if a < b else 1
    if first.prerelease is None or second.prerelease is None:
        return (first.prerelease is None) - (second.prerelease is None)
    ours, theirs = first.prerelease.split("."), second.prerelease.split(".")
    for left, right in zip(ours, theirs, strict=False):
        if left == right:
            continue
        if left.isdigit() and right.isdigit():
            return -1 if int(left) < int(right) else 1
        if left.isdigit() != right.isdigit():
            return -1 if left.isdigit() else 1
        return -1 if left.encode("ascii") < right.encode("ascii") else 1
    return (len(ours) > len(theirs)) - (len(ours) < len(theirs))


_close = versions.map(lambda version: replace(version, major=1, minor=0, patch=0))
_prereleases = st.sampled_from([_version(text) for text in SPEC_CHAIN])


@given(st.one_of(versions, _close, _prereleases), st.one_of(versions, _close, _prereleases))
def test_any_two_versions_are_ordered_by_section_11(first: Version, second: Version) -> None:
    expected = _precedence_of_the_spec(first, second)
    if expected:
        assert (first < second) == (expected < 0)
        assert (first > second) == (expected > 0)
        return
    assert (first == second) == (first.build == second.build)


@given(_close, _close, _close)
def test_the_order_is_total(first: Version, second: Version, third: Version) -> None:
    assert (first < second) + (first == second) + (first > second) == 1
    assert (first <= second) == (not first > second)
    if first <= second <= third:
        assert first <= third


@given(commits)
def test_a_full_commit_is_taken_in_lower_case(text: str) -> None:
    assert parse_commit(text) == text.lower()
    assert short_sha(parse_commit(text)) == text[:7].lower()


@pytest.mark.parametrize(
    "text", ["", SHA[:7], SHA[:39], SHA + "0", SHA[:39] + "g", SHA + "\n", " " + SHA[:39], "\u0661" * 40]
)
def test_any_other_commit_is_refused(text: str) -> None:
    with pytest.raises(RefError, match="40 hex digits"):
        parse_commit(text)


@given(anything)
def test_every_text_is_a_commit_or_an_error_on_one_line(text: str) -> None:
    with pytest.raises(RefError) as caught:
        parse_commit(text)
    assert caught.value.message.isprintable()
