from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipeline.rules.errors import RefError
from pipeline.rules.refs import Version, parse_version
from pipeline.rules.tagging import (
    LatestPolicy,
    TagKind,
    TagPlan,
    branch_tag,
    highest_stable,
    plan_dirty,
    plan_tags,
    version_of_tag,
    version_tag,
)
from tests.pipeline.samples import SHA
from tests.pipeline.strategies import branch_names, commits, refs, versions

OCI_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
TAG_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
policies = st.sampled_from(LatestPolicy)


def _names(plan: TagPlan) -> list[str]:
    return [tag.name for tag in plan.tags]


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("refs/heads/master", ["sha-9c68c4a", "master"]),
        ("refs/heads/feature/links", ["sha-9c68c4a", "feature-links"]),
        ("refs/heads/a//b&&c", ["sha-9c68c4a", "a-b-c"]),
        ("refs/heads/.-hidden", ["sha-9c68c4a", "hidden"]),
        ("refs/heads/_x", ["sha-9c68c4a", "_x"]),
        ("refs/heads/Fix", ["sha-9c68c4a", "Fix"]),
        ("refs/heads/vendor", ["sha-9c68c4a", "vendor"]),
        ("refs/heads/sha", ["sha-9c68c4a", "sha"]),
        ("refs/heads/latest-news", ["sha-9c68c4a", "latest-news"]),
        ("refs/heads/" + "a" * 128, ["sha-9c68c4a", "a" * 128]),
        ("refs/tags/v1.2.3", ["sha-9c68c4a", "v1.2.3", "latest"]),
        ("refs/tags/v0.0.1", ["sha-9c68c4a", "v0.0.1", "latest"]),
        ("refs/tags/v1.2.3-rc.1", ["sha-9c68c4a", "v1.2.3-rc.1"]),
        ("refs/tags/v1.2.3+build.5", ["sha-9c68c4a", "v1.2.3_build.5", "latest"]),
        ("refs/tags/v1.2.3-rc.1+5", ["sha-9c68c4a", "v1.2.3-rc.1_5"]),
    ],
)
def test_the_tags_of_a_ref(ref: str, expected: list[str]) -> None:
    assert _names(plan_tags(ref, SHA.upper())) == expected


@pytest.mark.parametrize(
    "branch",
    [
        "latest",
        "LATEST",
        "-latest",
        "sha-9c68c4a",
        "SHA-x",
        "v1",
        "v1.2.3",
        "V2.x",
        ".",
        "-",
        "/",
        "é",
        "\udc80",
        "a" * 129,
    ],
)
def test_a_branch_that_reads_as_another_kind_of_tag_gets_a_name_of_its_own(branch: str) -> None:
    assert re.fullmatch(r"branch-[a-zA-Z0-9._-]*-[0-9a-f]{8}", branch_tag(branch))
    assert len(branch_tag(branch)) <= 128


def test_branches_that_get_a_name_of_their_own_do_not_share_it() -> None:
    branches = ["latest", "Latest", "-latest", ".latest", "v1", "v1/", "é", "è", "-", ".", "a" * 129, "a" * 130]
    own = [branch_tag(branch) for branch in branches]
    assert len({*own}) == len(branches)
    for tag in own:  # and a branch that is called so does not get it either
        assert branch_tag(tag) != tag


@pytest.mark.parametrize("policy", LatestPolicy)
def test_latest_is_planned_unless_it_is_never_wanted(policy: LatestPolicy) -> None:
    names = _names(plan_tags("refs/tags/v1.2.3", SHA, policy))
    assert ("latest" in names) == (policy is not LatestPolicy.NEVER)


def test_a_version_too_long_for_a_tag_is_refused() -> None:
    fitting = f"refs/tags/v1.2.3-{'a' * 121}"
    assert len(plan_tags(fitting, SHA).tags[1].name) == 128
    with pytest.raises(RefError, match="128 characters"):
        plan_tags(fitting + "a", SHA)


@settings(max_examples=500)
@given(refs, commits, policies)
@example("refs/heads/\ud800", SHA, LatestPolicy.AUTO)
@example("refs/tags/v1.2.3", "", LatestPolicy.AUTO)
def test_every_ref_gives_a_valid_plan_or_a_ref_error(ref: str, commit: str, policy: LatestPolicy) -> None:
    try:
        plan = plan_tags(ref, commit, policy)
    except RefError:
        return
    names = _names(plan)
    assert all(OCI_TAG.fullmatch(name) for name in names)
    assert len(set(names)) == len(names)
    assert names[0] == f"sha-{commit[:7].lower()}"
    assert plan.primary.kind is TagKind.SHA
    assert plan.primary == plan.tags[0]
    assert plan_tags(ref, commit, policy) == plan
    tag = ref.removeprefix("refs/tags/")
    stable = ref.startswith("refs/tags/") and "-" not in tag.partition("+")[0]
    assert ("latest" in names) == (stable and policy is not LatestPolicy.NEVER)
    assert (names[-1] == "latest") == ("latest" in names)
    assert (plan.version is None) == ref.startswith("refs/heads/")


def _documented_mapping(branch: str) -> str:
    """Spell the rule out letter by letter: what a tag cannot have becomes one `-`, `-` and `.` in front go."""
    mapped = ""
    outside = False
    for letter in branch:
        if letter in TAG_CHARACTERS:
            mapped += letter
            outside = False
        elif not outside:
            mapped += "-"
            outside = True
    while mapped and mapped[0] in "-.":
        mapped = mapped[1:]
    return mapped


_alike = st.text(st.sampled_from("ab-./é "), min_size=1, max_size=6)
_other_kinds = st.builds("{}{}".format, st.sampled_from(["latest", "sha-", "v1", "-v1", "a" * 128]), _alike)
any_branch = st.one_of(branch_names, _alike, _other_kinds)


@given(any_branch, any_branch)
def test_only_branches_alike_after_the_mapping_share_a_tag(first: str, second: str) -> None:
    assume(first != second)
    if branch_tag(first) == branch_tag(second):
        assert _documented_mapping(first) == _documented_mapping(second)


@given(any_branch)
def test_a_branch_keeps_its_mapped_name_or_gets_one_of_its_own(branch: str) -> None:
    mapped = _documented_mapping(branch)
    tag = branch_tag(branch)
    assert tag == mapped or re.fullmatch(r"branch-.*-[0-9a-f]{8}", tag)
    assert OCI_TAG.fullmatch(tag)


@given(any_branch)
@example("latest")
@example("sha-9c68c4a-dirty-01234567")
@example("v1.2.3_x")
def test_a_branch_tag_never_reads_as_another_kind(branch: str) -> None:
    tag = branch_tag(branch)
    assert tag.lower() != "latest"
    assert not tag.lower().startswith("sha-")
    assert re.match(r"v[0-9]", tag, re.IGNORECASE) is None
    assert version_of_tag(tag) is None


@given(any_branch)
def test_a_branch_called_as_the_tag_of_another_does_not_share_it(branch: str) -> None:
    tag = branch_tag(branch)
    if _documented_mapping(branch) != tag:
        assert branch_tag(tag) != tag


@given(versions)
def test_a_version_is_read_back_from_its_tag(version: Version) -> None:
    assert version_of_tag(version_tag(version)) == version


@pytest.mark.parametrize("tag", ["latest", "master", "sha-9c68c4a", "v1", "v1.2", "1.2.3", "v1.2.3_a_b", "vv1.2.3"])
def test_a_tag_of_another_kind_is_not_a_version(tag: str) -> None:
    assert version_of_tag(tag) is None


@pytest.mark.parametrize(
    ("tags", "highest"),
    [
        ([], None),
        (["latest", "master", "sha-9c68c4a", "v2.0.0-rc.1"], None),
        (["v1.9.0", "v1.10.0", "v1.2.0"], "v1.10.0"),
        (["v1.0.0", "v2.0.0-rc.1", "v1.0.0_b"], "v1.0.0+b"),
    ],
)
def test_the_highest_stable_version_of_a_list_of_tags(tags: list[str], highest: str | None) -> None:
    assert highest_stable(tags) == (None if highest is None else parse_version(highest))


@given(st.text(max_size=300), commits)
def test_a_dirty_tree_gets_one_tag_of_its_own(content: str, commit: str) -> None:
    plan = plan_dirty("refs/heads/master", commit, content)
    (tag,) = plan.tags
    assert re.fullmatch(rf"sha-{commit[:7].lower()}-dirty-[0-9a-f]{{8}}", tag.name)
    assert tag.kind is TagKind.DIRTY
    assert plan.tags == (plan.primary,)


def test_another_content_gets_another_dirty_tag() -> None:
    first, second = (plan_dirty("refs/heads/master", SHA, content).primary for content in ("a", "b"))
    assert first.name != second.name


def test_a_dirty_tree_needs_a_publishable_ref_and_a_full_commit() -> None:
    with pytest.raises(RefError):
        plan_dirty("refs/pull/1/merge", SHA, "")
    with pytest.raises(RefError):
        plan_dirty("refs/heads/master", "9c68c4a", "")


def test_only_branches_and_latest_move() -> None:
    assert {kind for kind in TagKind if kind.moves} == {TagKind.BRANCH, TagKind.LATEST}


@pytest.mark.parametrize(
    ("ref", "latest", "expected"),
    [
        ("refs/tags/v1.2.3", LatestPolicy.AUTO, "latest moves only if no release higher than v1.2.3 is published"),
        ("refs/tags/v1.2.3", LatestPolicy.ALWAYS, None),
        ("refs/tags/v1.2.3", LatestPolicy.NEVER, None),
        ("refs/tags/v1.2.3-rc.1", LatestPolicy.AUTO, None),
        ("refs/heads/master", LatestPolicy.AUTO, None),
    ],
)
def test_only_a_stable_release_under_auto_has_a_condition_for_latest(
    ref: str, latest: LatestPolicy, expected: str | None
) -> None:
    assert plan_tags(ref, SHA, latest).latest_condition == expected
