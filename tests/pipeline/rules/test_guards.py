from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.rules.build_inputs import INPUTS
from pipeline.rules.errors import CollisionError, WriteOnceError
from pipeline.rules.guards import TaggedImage, difference, listed_platforms, refusal, stays
from pipeline.rules.labels import CREATED, REVISION
from pipeline.rules.platforms import Platform
from pipeline.rules.tagging import TagKind
from tests.pipeline.samples import DIGEST, OTHER_DIGEST, OTHER_SHA, SHA, TIME, run_plan

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
PLAN = run_plan()
RELEASE = run_plan(ref="refs/tags/v1.2.3")


def image(*labels: dict[str, str], platforms: tuple[Platform, ...] = (AMD64,)) -> TaggedImage:
    return TaggedImage(DIGEST, labels, platforms)


def own(**inputs: object) -> dict[str, str]:
    return {REVISION: SHA, INPUTS: PLAN.inputs.model_copy(update=inputs).document()}


class TestWhatAnImageSaysOfItself:
    def test_its_commit_is_the_one_that_all_of_its_images_name(self) -> None:
        assert image({REVISION: SHA}, {REVISION: SHA}).revision == SHA
        assert image({REVISION: SHA}, {REVISION: OTHER_SHA}).revision is None
        assert image({REVISION: SHA}, {}).revision is None
        assert image().revision is None

    @pytest.mark.parametrize(
        ("label", "time"),
        [
            ("2025-11-03T14:30:05Z", TIME),
            ("2025-11-03T16:30:05+02:00", TIME),
            ("2025-11-03T14:30:05", TIME),
            ("yesterday", None),
            ("", None),
        ],
    )
    def test_its_time_is_read_with_its_zone(self, label: str, time: datetime | None) -> None:
        assert image({CREATED: label}).created == time

    def test_its_time_is_not_known_without_a_label(self) -> None:
        assert image({}).created is None
        assert image({CREATED: "2025-11-03T14:30:05Z"}, {}).created is None

    def test_it_records_its_inputs_or_not(self) -> None:
        assert image(own()).records_inputs
        assert not image(own(), {REVISION: SHA}).records_inputs
        assert image({INPUTS: "of another version"}).records_inputs


class TestADifference:
    def test_is_none_for_the_same_commit_and_inputs(self) -> None:
        assert difference(PLAN, image(own())) is None
        assert difference(PLAN, image(own(), platforms=())) is None
        assert difference(PLAN, image({REVISION: SHA})) is None

    @pytest.mark.parametrize(
        ("found", "reason"),
        [
            (image({}), "but its commit is unknown: it has no label org.opencontainers.image.revision"),
            (image({REVISION: OTHER_SHA}), f"the image of commit '{OTHER_SHA}', not of {SHA}"),
            (image({REVISION: SHA}, {REVISION: OTHER_SHA}), f"the image of commit '{OTHER_SHA}', not of {SHA}"),
            (image(own(), {}), "but its commit is unknown: it has no label org.opencontainers.image.revision"),
            (image(own(), platforms=(ARM64,)), "the image of this commit for linux/arm64, not for linux/amd64"),
            (image({REVISION: SHA, INPUTS: "?"}), f"the image of this commit, but its label {INPUTS} cannot be read"),
            (
                image(own(target="debug")),
                "the image of this commit from other build inputs; requested: target '' instead of 'debug'",
            ),
            (
                image(own(), own(dockerfile="D")),
                "the image of this commit from other build inputs; requested: Dockerfile 'Dockerfile' instead of 'D'",
            ),
        ],
    )
    def test_says_what_differs(self, found: TaggedImage, reason: str) -> None:
        different = difference(PLAN, found)
        assert different is not None
        assert different.reason == reason
        assert different.hint


class TestARefusal:
    def test_is_none_for_the_runs_own_image(self) -> None:
        assert refusal(PLAN, PLAN.tags.primary, image(own()), OTHER_DIGEST) is None

    def test_of_the_commits_tag_is_a_collision_that_names_both_images(self) -> None:
        error = refusal(PLAN, PLAN.tags.primary, image({REVISION: OTHER_SHA}), OTHER_DIGEST)
        assert isinstance(error, CollisionError)
        assert error.message == (
            f"ghcr.io/linkradar/lr-backend:sha-9c68c4a already points to {DIGEST}, the image of commit '{OTHER_SHA}', "
            f"not of {SHA}. This run's image is {OTHER_DIGEST}."
        )
        assert "same seven digits" in error.hint

    def test_before_the_build_names_no_image_of_the_run(self) -> None:
        error = refusal(PLAN, PLAN.tags.primary, image({REVISION: OTHER_SHA}), None)
        assert error is not None
        assert error.message.endswith(f"not of {SHA}.")

    def test_of_a_version_says_that_it_is_written_once(self) -> None:
        version = next(tag for tag in RELEASE.tags.tags if tag.kind is TagKind.VERSION)
        error = refusal(RELEASE, version, image({REVISION: OTHER_SHA}), None)
        assert isinstance(error, WriteOnceError)
        assert error.hint == "A version is written only once: release the change under a new version."


class TestABranchStays:
    LATER = image({REVISION: OTHER_SHA, CREATED: (TIME + timedelta(seconds=1)).isoformat()})

    def test_on_a_descendant(self) -> None:
        assert stays(PLAN, image({REVISION: OTHER_SHA}), descends=True) == (
            "it names the image of 0123456, a later commit than 9c68c4a; --force-move overrules"
        )

    def test_not_on_a_commit_that_is_no_descendant_whatever_its_time(self) -> None:
        assert stays(PLAN, self.LATER, descends=False) is None

    def test_on_a_later_commit_that_git_does_not_hold(self) -> None:
        assert stays(PLAN, self.LATER, descends=None) == (
            "it names the image of 0123456 of 2025-11-03 14:30:06 UTC, later than 9c68c4a, and git does not hold it; "
            "--force-move overrules"
        )

    def test_with_the_text_of_a_label_that_is_no_commit_in_quotes(self) -> None:
        reason = stays(PLAN, image({REVISION: "a\nb", CREATED: "2026-01-01T00:00:00Z"}), descends=None)
        assert reason is not None
        assert "the image of 'a\\nb' of 2026-01-01" in reason

    @pytest.mark.parametrize("time", [TIME, TIME - timedelta(days=1)])
    def test_not_on_one_that_is_as_old_or_older(self, time: datetime) -> None:
        older = image({REVISION: OTHER_SHA, CREATED: time.astimezone(UTC).isoformat()})
        assert stays(PLAN, older, descends=None) is None

    def test_not_where_a_time_is_not_known(self) -> None:
        assert stays(PLAN, image({REVISION: OTHER_SHA}), descends=None) is None
        timeless = replace(PLAN, commit=replace(PLAN.commit, time=None))
        assert stays(timeless, self.LATER, descends=None) is None

    def test_not_on_another_image_of_the_same_commit_or_of_an_unknown_one(self) -> None:
        same = image({REVISION: SHA, CREATED: "2099-01-01T00:00:00Z"})
        assert stays(PLAN, same, descends=True) is None
        assert stays(PLAN, image({CREATED: "2099-01-01T00:00:00Z"}), descends=None) is None

    def test_not_where_the_move_is_forced(self) -> None:
        forced = run_plan(force_move=True)
        assert stays(forced, self.LATER, descends=True) is None
        assert stays(forced, self.LATER, descends=None) is None


def test_platforms_are_listed_in_a_fixed_order() -> None:
    assert listed_platforms((ARM64, AMD64)) == "linux/amd64,linux/arm64"
