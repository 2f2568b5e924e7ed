"""What a run knows of a tag while it writes its tags, and what it decides to do with one.

Pure; `pipeline.promotion` does the reading and writing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.rules.image_name import ImageName
from pipeline.rules.report import TagOutcome, TagReport
from pipeline.rules.tagging import PlannedTag


@dataclass(frozen=True, slots=True)
class Put:
    """The tag is written.

    Attributes:
        reason: Why, where that is not obvious.
        release: The tag of another run's release that it is pointed to; None for this run's image.
    """

    reason: str | None = None
    release: str | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The tag stays where it is, for a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """The image that the tag points to becomes the run's."""


@dataclass(frozen=True, slots=True)
class Present:
    """The tag points to the run's image already."""


Decision = Put | Keep | Adopt | Present


@dataclass(slots=True)
class TagState:
    """What a run knows of one tag.

    Attributes:
        tag: The tag.
        before: The digest that it pointed to when it was read first; None if it did not exist.
        digest: The digest that it pointed to when it was last read or written; None if it did not exist.
        found: The digest that it pointed to when it was last read.
        sent: The digests that the run wrote, or tried to write.
        is_known: Whether `digest` is known: not before the first reading, nor after a PUT without an answer.
        reason: Why it was kept, or moved where that is not obvious.
        is_kept: Whether it is left in place.
    """

    tag: PlannedTag
    before: str | None = None
    digest: str | None = None
    found: str | None = None
    sent: set[str] = field(default_factory=set)
    is_known: bool = False
    reason: str | None = None
    is_kept: bool = False

    def read(self, digest: str | None) -> None:
        """Record what the tag points to."""
        if not self.is_known and not self.sent:
            self.before = digest
        self.digest = self.found = digest
        self.is_known = True

    def sending(self, digest: str) -> None:
        """Record that a manifest is sent, whose answer is not known yet."""
        self.sent.add(digest)
        self.is_known = False

    def answered(self, digest: str) -> None:
        """Record that the registry stored the manifest."""
        self.digest, self.is_known = digest, True

    def rejected(self) -> None:
        """Record that the registry did not store the manifest."""
        self.is_known = True

    def decided(self, decision: Decision) -> None:
        """Record what is done with the tag."""
        self.is_kept = isinstance(decision, Keep) or (isinstance(decision, Put) and decision.release is not None)
        if isinstance(decision, Put | Keep):
            self.reason = decision.reason

    def is_done(self, digest: str) -> bool:
        """Return whether nothing is left to do, given the digest of the run's image."""
        return self.is_known and (self.is_kept or self.digest == digest)

    def outcome(self, digest: str) -> TagOutcome:
        """Return what the run did with the tag, given the digest of its image."""
        if self.is_kept:
            return TagOutcome.KEPT
        if digest not in self.sent or digest == self.before:
            return TagOutcome.PRESENT
        return TagOutcome.WRITTEN if self.before is None else TagOutcome.MOVED

    def report(self, image: ImageName, digest: str) -> TagReport:
        """Return what the run did with the tag, given the digest of its image."""
        outcome = self.outcome(digest)
        previous = {TagOutcome.KEPT: self.digest, TagOutcome.MOVED: self.before}
        return TagReport(
            name=self.tag.name,
            kind=self.tag.kind,
            reference=image.tagged(self.tag.name),
            outcome=outcome,
            previous_digest=previous.get(outcome),
            reason=self.reason if outcome in previous else None,
        )


def progress_of(states: Iterable[TagState], digest: str) -> str | None:
    """Return which tags are done, which are not written, and which are not known; None if all are done.

    Args:
        states: The tags in the order of writing.
        digest: The digest of the run's image.
    """
    done: list[str] = []
    missing: list[str] = []
    unknown: list[str] = []
    for state in states:
        in_doubt = bool(state.sent) and not state.is_known
        group = done if state.is_done(digest) else unknown if in_doubt else missing
        group.append(state.tag.name)
    if not missing and not unknown:
        return None
    parts = [f"Done: {', '.join(done) or 'no tag'}"]
    parts += [f"not written: {', '.join(missing)}"] if missing else []
    parts += [f"not known: {', '.join(unknown)}"] if unknown else []
    return f"{'; '.join(parts)}."
