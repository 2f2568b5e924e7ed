"""Promotion: pointing the tags of a run to its image, one manifest PUT each, while other runs may do the same.

The registry's protocol has no compare-and-swap. So each tag is read, guarded and written, in that order, and all are
read again until a round changes nothing. The commit's tag decides which image it is: a run that finds another one
there, of the same commit and build inputs, adopts it and moves over what it wrote. A version that was there before the
run decides instead. `docs/decisions/0016-promotion-without-compare-and-swap.md` says what that cannot promise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pipeline.progress import Progress
from pipeline.registry.client import Registry
from pipeline.registry.manifests import Manifest
from pipeline.rules.errors import AuthError, GuardError, InvalidImageError, PipelineError, RegistryError, TransientError
from pipeline.rules.guards import TaggedImage, refusal, stays
from pipeline.rules.planning import RunPlan
from pipeline.rules.refs import CommitSha, is_commit, parse_commit
from pipeline.rules.report import TagReport
from pipeline.rules.tag_state import Adopt, Decision, Keep, Present, Put, TagState, progress_of
from pipeline.rules.tagging import LatestPolicy, PlannedTag, TagKind, highest_stable, version_tag

_ROUNDS = 6
"""How often the tags are read before a run gives up; without another run, the second round changes nothing."""


class History(Protocol):
    """What git knows of the order of commits."""

    async def descends(self, commit: CommitSha, ancestor: CommitSha) -> bool | None:
        """Return whether a commit is a descendant of another one; None if git does not hold enough to tell.

        Raises:
            CheckoutError: Git failed.
        """


class Promotion:
    """The tags of one run.

    Args:
        plan: The run.
        registry: The HTTP API of the image's repository.
        history: The order of commits.
        progress: Shows notices.
    """

    def __init__(self, plan: RunPlan, registry: Registry, history: History, progress: Progress) -> None:
        self._plan = plan
        self._registry = registry
        self._history = history
        self._progress = progress
        self._states = {tag.name: TagState(tag) for tag in plan.tags.tags}
        self._images: dict[str, TaggedImage | None] = {}
        self._released: str | None = None
        self._lists = True
        self._complaint = ""

    async def existing_image(self) -> Manifest | None:
        """Return the image of the commit, if the registry has one when the run starts.

        Raises:
            CollisionError: The commit's tag points to an image of another commit, or from other build inputs.
            WriteOnceError: The version's tag does.
        """
        existing: Manifest | None = None
        for tag in self._plan.tags.tags:
            if not tag.kind.moves and (found := await self.image_of(tag, existing)) is not None:
                existing = found
                self._released = found.digest if tag.kind is TagKind.VERSION else None
        return existing

    async def image_of(self, tag: PlannedTag, own: Manifest | None = None) -> Manifest | None:
        """Return the image that a tag points to, which is written once; None if there is no such tag.

        Args:
            tag: A tag of the plan.
            own: The run's image, as far as it is known.

        Raises:
            CollisionError: It is an image of another commit, or from other build inputs.
            WriteOnceError: The same, and the tag is a version.
        """
        manifest = await self._registry.manifest(tag.name)
        state = self._states[tag.name]
        state.read(None if manifest is None else manifest.digest)
        if manifest is not None and manifest != own:
            error = await self._refusal(state, manifest.digest, own)
            if error is not None:
                raise error
        return manifest

    async def promote(self, manifest: Manifest) -> Manifest:
        """Point every tag of the plan to an image, and read them again until a round changes nothing.

        Args:
            manifest: The image.

        Returns:
            The image that the tags point to: the given one, or that of another run.

        Raises:
            CollisionError: The commit's tag points to an image of another commit, or from other build inputs.
            WriteOnceError: The version's tag does.
            AuthError: The registry denied access.
            RegistryError: The registry failed, or the tags do not point to one image in the end.
        """
        for _ in range(_ROUNDS):
            unsettled: list[TagState] = []
            for state in self._states.values():
                with self._with_progress(manifest):
                    decision = await self._settle(state, manifest)
                if isinstance(decision, Adopt):
                    manifest = self._adopted(state)
                if isinstance(decision, Put | Adopt):
                    unsettled.append(state)
            if not unsettled:
                return manifest
        listed = ", ".join(
            f"{self._plan.image.tagged(state.tag.name)} {f'pointed to {state.found}' if state.found else 'was missing'}"
            for state in unsettled
        )
        msg = f"The tags do not all point to {manifest.digest}: when they were read again, {listed}."
        raise RegistryError(msg, hint="Other runs may be moving them: run this again when they have ended.")

    async def decide(self, tag: PlannedTag, manifest: Manifest | None) -> tuple[TagState, Decision]:
        """Read a tag and decide what is to be done with it.

        Args:
            tag: A tag of the plan.
            manifest: The run's image; None if it is not built yet.

        Raises:
            CollisionError: It is the commit's tag, and points to an image of another commit, or from other inputs.
            WriteOnceError: It is the version's tag, and does.
        """
        state = self._states[tag.name]
        await self._read(state)
        decision = await self._decision(state, manifest)
        state.decided(decision)
        return state, decision

    async def commit_of(self, state: TagState) -> str | None:
        """Return the commit of the image that a tag pointed to when it was last read; None if it is not known."""
        image = None if state.digest is None else await self._image(state.digest)
        return None if image is None else image.revision

    def reports(self, manifest: Manifest) -> tuple[TagReport, ...]:
        """Return what was done with each tag, in the order of the plan."""
        return tuple(state.report(self._plan.image, manifest.digest) for state in self._states.values())

    async def _settle(self, state: TagState, manifest: Manifest) -> Decision:
        """Read, guard and write a tag; the commit's tag, which the others follow, is then read again."""
        retries = self._registry.retries
        try:
            decision = await retries.run(lambda: self._attempt(state.tag, manifest))
        except TransientError:
            if not self._complaint:
                raise
            self._lists = False  # `latest` stays where it is; nothing else needs the list
            decision = await retries.run(lambda: self._attempt(state.tag, manifest))
        if isinstance(decision, Put) and state.tag.kind is TagKind.SHA:
            again = await retries.run(lambda: self._attempt(state.tag, manifest))
            return again if isinstance(again, Adopt) else decision
        return decision

    async def _attempt(self, tag: PlannedTag, manifest: Manifest) -> Decision:
        """Read, guard and write a tag, with one PUT: a failure of it leads back to the reading."""
        state, decision = await self.decide(tag, manifest)
        if isinstance(decision, Put):
            wanted = manifest if decision.release is None else self._registry.known(decision.release)
            state.sending(wanted.digest)
            try:
                await self._registry.put_tag(tag.name, wanted)
            except TransientError:
                raise
            except PipelineError:
                state.rejected()
                raise
            state.answered(wanted.digest)
        return decision

    async def _read(self, state: TagState) -> None:
        """Read what a tag points to: by HEAD, and by GET if it has vanished."""
        digest = await self._registry.digest_of(state.tag.name)
        if digest is None and state.digest is not None:
            found = await self._registry.manifest(state.tag.name)
            digest = None if found is None else found.digest
        state.read(digest)

    async def _decision(self, state: TagState, manifest: Manifest | None) -> Decision:
        """Decide by what the tag points to, which was just read."""
        is_own = manifest is not None and state.digest == manifest.digest
        if state.tag.kind is TagKind.LATEST:
            return await self._decision_on_latest(state, is_own=is_own)
        if state.digest is None or is_own:
            return Present() if is_own else Put()
        if state.tag.kind is TagKind.BRANCH:
            reason = await self._keeps_branch(state.digest)
            return Put() if reason is None else Keep(reason)
        error = await self._refusal(state, state.digest, manifest)
        if error is not None:
            await self._confirm(state, state.digest)
            raise error
        leads = (state.tag.kind is TagKind.VERSION) is (self._released is not None)
        if not leads:
            return Put("it moves to the image that other tags of this commit point to")
        self._released = None  # a release that moved since the run started follows the commit's tag from now on
        return Adopt()

    async def _refusal(self, state: TagState, digest: str, own: Manifest | None) -> GuardError | None:
        """Return why a tag that is written once does not point to an image of the run's commit and build inputs."""
        image = await self._described(digest)
        error = refusal(self._plan, state.tag, image, None if own is None else own.digest)
        if error is None and not image.records_inputs:
            reference = self._plan.image.tagged(state.tag.name)
            self._progress.notice(
                f"{reference} does not record what it was built from; it is taken as the commit's image."
            )
        return error

    async def _confirm(self, state: TagState, digest: str) -> None:
        """Read a tag by GET before a run is refused because of what HEAD said.

        Raises:
            TransientError: It points to something else.
        """
        found = await self._registry.manifest(state.tag.name)
        if found is None or found.digest != digest:
            there = "was deleted" if found is None else f"points to {found.digest}"
            msg = f"{self._plan.image.tagged(state.tag.name)} pointed to {digest}, but {there} when it was read again."
            raise TransientError(msg, hint="Another run may be moving it: run this again.")

    async def _keeps_branch(self, digest: str) -> str | None:
        image = await self._image(digest)
        if image is None:
            return None
        revision = image.revision
        descends = None
        if revision is not None and is_commit(revision) and not self._plan.force_move:
            descends = await self._history.descends(parse_commit(revision), self._plan.commit.sha)
        return stays(self._plan, image, descends=descends)

    async def _decision_on_latest(self, state: TagState, *, is_own: bool) -> Decision:
        """Decide on `latest`: only the highest release may have it, as far as the list of tags says.

        The list is read after the version is written, and again after `latest` is: of two releases at once, the later
        reader sees the other one, and puts right what it wrote itself.
        """
        otherwise = Present() if is_own else Put()
        version = self._plan.tags.version
        if self._plan.tags.latest is not LatestPolicy.AUTO or version is None or (is_own and not state.sent):
            return otherwise
        highest = None
        if self._lists:
            try:
                highest, self._complaint = highest_stable(await self._all_tags()), ""
            except (RegistryError, AuthError) as error:
                self._complaint = error.message
                if isinstance(error, TransientError):
                    raise
        if self._complaint:
            reason = f"the list of tags cannot be read: {self._complaint}"
            if is_own:
                self._progress.notice(f"latest moved, but may have gone back: {reason}")
            return Present() if is_own else Keep(reason)
        if highest is None or highest <= version:
            return otherwise
        reason = f"{highest} is a higher release than {version}"
        release = await self._registry.manifest(version_tag(highest)) if state.digest in state.sent else None
        if release is None or release.digest == state.digest:
            return Keep(reason)
        return Put(reason, release=release.digest)

    async def _all_tags(self) -> list[str]:
        """List all tags.

        Raises:
            RegistryError: The list cannot be read, or a tag that this run has read is missing in it.
        """
        names = await self._registry.tags()
        missing = [name for name, state in self._states.items() if state.digest is not None and name not in names]
        if missing:
            msg = f"it lacks {', '.join(missing)}."
            raise RegistryError(msg)
        return names

    async def _image(self, digest: str) -> TaggedImage | None:
        """Return an image that was read by a tag; None if it is not valid."""
        if digest not in self._images:
            try:
                self._images[digest] = await self._described(digest)
            except InvalidImageError:
                self._images[digest] = None
        return self._images[digest]

    async def _described(self, digest: str) -> TaggedImage:
        images = await self._registry.images(self._registry.known(digest))
        platforms = tuple(image.platform for image in images if image.platform is not None)
        return TaggedImage(digest, tuple(image.labels for image in images), platforms)

    def _adopted(self, state: TagState) -> Manifest:
        reference = self._plan.image.tagged(state.tag.name)
        self._progress.notice(f"Another run has published this commit meanwhile: the image of {reference} is used.")
        return self._registry.known(state.digest or "")

    @contextmanager
    def _with_progress(self, manifest: Manifest) -> Iterator[None]:
        """Add to an error which tags are written, which are not, and which are not known."""
        try:
            yield
        except PipelineError as error:
            progress = progress_of(self._states.values(), manifest.digest)
            if progress is None:
                raise
            raise error.extended(progress) from error
