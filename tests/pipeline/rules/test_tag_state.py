from __future__ import annotations

import pytest

from pipeline.rules.report import TagOutcome
from pipeline.rules.tag_state import Adopt, Keep, Present, Put, TagState, progress_of
from pipeline.rules.tagging import PlannedTag, TagKind
from tests.pipeline.samples import DIGEST, IMAGE, OTHER_DIGEST


def state(name: str = "master", kind: TagKind = TagKind.BRANCH) -> TagState:
    return TagState(PlannedTag(name, kind))


def written(before: str | None = None) -> TagState:
    tag = state()
    tag.read(before)
    tag.decided(Put())
    tag.sending(DIGEST)
    tag.answered(DIGEST)
    return tag


class TestTheReport:
    def test_of_a_new_tag(self) -> None:
        report = written().report(IMAGE, DIGEST)
        assert (report.outcome, report.previous_digest, report.reason) == (TagOutcome.WRITTEN, None, None)
        assert (report.name, report.kind, report.reference) == ("master", TagKind.BRANCH, IMAGE.tagged("master"))

    def test_of_a_moved_tag_has_the_digest_from_before_the_run(self) -> None:
        tag = written(OTHER_DIGEST)
        tag.read("sha256:" + "ee" * 32)  # another run wrote it, and this one again
        tag.decided(Put("it moves"))
        tag.sending(DIGEST)
        tag.answered(DIGEST)
        report = tag.report(IMAGE, DIGEST)
        assert (report.outcome, report.previous_digest, report.reason) == (TagOutcome.MOVED, OTHER_DIGEST, "it moves")

    def test_of_a_tag_that_pointed_there_already(self) -> None:
        tag = state()
        tag.read(DIGEST)
        tag.decided(Present())
        report = tag.report(IMAGE, DIGEST)
        assert (report.outcome, report.previous_digest, report.reason) == (TagOutcome.PRESENT, None, None)
        assert written(DIGEST).outcome(DIGEST) is TagOutcome.PRESENT

    def test_of_a_tag_whose_image_was_adopted(self) -> None:
        tag = written()
        tag.read(OTHER_DIGEST)
        tag.decided(Adopt())
        assert tag.outcome(OTHER_DIGEST) is TagOutcome.PRESENT

    def test_of_a_kept_tag_has_what_it_points_to(self) -> None:
        tag = state()
        tag.read(OTHER_DIGEST)
        tag.decided(Keep("a reason"))
        report = tag.report(IMAGE, DIGEST)
        assert (report.outcome, report.previous_digest, report.reason) == (TagOutcome.KEPT, OTHER_DIGEST, "a reason")

    def test_of_a_tag_that_was_given_back_to_a_higher_release(self) -> None:
        tag = written()
        tag.decided(Put("v2.0.0 is higher", release=OTHER_DIGEST))
        tag.sending(OTHER_DIGEST)
        tag.answered(OTHER_DIGEST)
        report = tag.report(IMAGE, DIGEST)
        assert (report.outcome, report.previous_digest) == (TagOutcome.KEPT, OTHER_DIGEST)
        assert report.reason == "v2.0.0 is higher"

    def test_no_longer_says_kept_where_the_tag_moves_after_all(self) -> None:
        tag = state()
        tag.read(OTHER_DIGEST)
        tag.decided(Keep("a reason"))
        tag.decided(Put())
        tag.sending(DIGEST)
        tag.answered(DIGEST)
        report = tag.report(IMAGE, DIGEST)
        assert (report.outcome, report.reason) == (TagOutcome.MOVED, None)


class TestTheProgress:
    def _sent(self, name: str) -> TagState:
        tag = state(name)
        tag.read(None)
        tag.sending(DIGEST)
        return tag

    def test_is_none_where_nothing_is_left(self) -> None:
        kept = state("latest")
        kept.read(OTHER_DIGEST)
        kept.decided(Keep("a reason"))
        assert progress_of([written(), kept], DIGEST) is None

    def test_tells_apart_what_is_done_what_is_not_and_what_is_not_known(self) -> None:
        tags = [written(), self._sent("v1.2.3"), state("latest")]
        assert progress_of(tags, DIGEST) == "Done: master; not written: latest; not known: v1.2.3."

    def test_of_the_first_tag_says_that_none_is_done(self) -> None:
        assert progress_of([state()], DIGEST) == "Done: no tag; not written: master."
        assert progress_of([self._sent("master")], DIGEST) == "Done: no tag; not known: master."

    def test_a_write_that_was_rejected_is_known_not_to_be_done(self) -> None:
        tag = self._sent("master")
        tag.rejected()
        assert progress_of([tag], DIGEST) == "Done: no tag; not written: master."

    def test_a_write_is_known_once_the_tag_was_read_again(self) -> None:
        tag = self._sent("master")
        tag.read(DIGEST)
        assert progress_of([tag], DIGEST) is None
        assert tag.outcome(DIGEST) is TagOutcome.WRITTEN

    @pytest.mark.parametrize("digest", [OTHER_DIGEST, None])
    def test_what_points_elsewhere_is_not_done(self, digest: str | None) -> None:
        tag = state()
        tag.read(digest)
        assert progress_of([tag], DIGEST) == "Done: no tag; not written: master."
