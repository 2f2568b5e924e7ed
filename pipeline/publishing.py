"""The order of publishing: build once, upload once, write the other tags, check that all point to one digest.

The order is what makes it safe: tags that are written once come first, then moving tags, `latest` last. If a run fails
halfway, what it wrote stays, and running it again finishes the work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.concurrency import each
from pipeline.progress import Progress, Steps
from pipeline.registry.client import Registry
from pipeline.registry.manifests import ImageProperties, Manifest
from pipeline.rules.build_inputs import recorded_inputs
from pipeline.rules.errors import BuildError, CollisionError, PipelineError, RegistryError, WriteOnceError
from pipeline.rules.labels import REVISION
from pipeline.rules.planning import RunPlan
from pipeline.rules.platforms import Platform
from pipeline.rules.report import TagOutcome, TagReport
from pipeline.rules.tagging import LatestPolicy, PlannedTag, TagKind, highest_stable
from pipeline.rules.text import quoted

_STAGES = ({TagKind.SHA, TagKind.DIRTY}, {TagKind.VERSION}, {TagKind.BRANCH}, {TagKind.LATEST})
"""Kinds of tag in the order of writing; tags of one stage are written concurrently."""


class ImageBuilder(Protocol):
    """Builds the image of a plan and uploads its layers."""

    async def content(self) -> str:
        """Return a digest of the source as it is."""

    async def build(self, plan: RunPlan) -> None:
        """Build the image completely, but do not upload it."""

    async def upload(self, plan: RunPlan, reference: str) -> str:
        """Upload the image under a reference by tag and return its manifest's digest.

        Raises:
            TransientError: The upload failed and is worth another attempt.
        """


@dataclass(frozen=True, slots=True)
class Published:
    """The result of publishing.

    Attributes:
        digest: The manifest's digest.
        tags: What was done with each tag, in the order of the plan.
        built: False if the image was already in the registry.
        platform: The image's platform.
    """

    digest: str
    tags: tuple[TagReport, ...]
    built: bool
    platform: str


async def publish(plan: RunPlan, registry: Registry, builder: ImageBuilder, steps: Steps) -> Published:
    """Publish an image under all tags of a plan.

    Args:
        plan: What to publish, and where.
        registry: The HTTP API of the image's repository.
        builder: Builds and uploads; not used if the commit's image is already in the registry.
        steps: Times the steps.

    Raises:
        CollisionError: The commit's tag points to an image of another commit, or of this one from other build inputs.
        SourceMismatchError: The image must be built, and a different commit is checked out.
        WriteOnceError: The version's tag already points to another image.
        AuthError: The registry denied access, or requires credentials.
        RegistryError: The registry failed, or the tags do not point to one digest in the end.
        BuildError: The image could not be built.
    """
    run = Publication(plan, registry, steps.progress)
    with steps.step("check the registry"):
        await registry.check_access()
        manifest = await run.existing_image()
    built = False
    if manifest is None:
        plan.check_buildable()
        with steps.step("build the image"):
            await builder.build(plan)
        manifest = await run.image_of_tag(plan.tags.primary.name)  # another run may have published it since
    if manifest is None:
        with steps.step("upload the image"):
            manifest = await run.uploaded(builder)
        built = True
    else:
        steps.progress.notice(f"The image of commit {plan.commit.short_sha} is already in the registry.")
    with steps.step("write the tags"):
        await run.write_tags(manifest)
        await run.check_digests(manifest.digest)
    tags = tuple(run.reports[tag.name] for tag in plan.tags.tags)
    return Published(manifest.digest, tags, built, str(plan.recipe.platforms))


@dataclass(slots=True)
class Publication:
    """The state of one publication: the reports of the tags that are done."""

    plan: RunPlan
    registry: Registry
    progress: Progress
    reports: dict[str, TagReport] = field(default_factory=dict)

    async def existing_image(self) -> Manifest | None:
        """Return the commit's image if the registry has it under the commit's tag or the version's."""
        existing = await self.image_of_tag(self.plan.tags.primary.name)
        for tag in self.plan.tags.further:
            if tag.kind is not TagKind.VERSION:
                continue
            released = await self.registry.manifest(tag.name)
            if released is None or (existing is not None and released.digest == existing.digest):
                continue
            images = await self.registry.images(released)
            if existing is not None or _revisions(images) != {self.plan.commit.sha}:
                raise self._taken(tag.name, released.digest)
            self._check_inputs(tag.name, images)
            existing = released
        return existing

    async def image_of_tag(self, name: str) -> Manifest | None:
        """Return the image that the commit's tag points to, after a check that it is this commit's."""
        manifest = await self.registry.manifest(name)
        if manifest is None:
            return None
        images = await self.registry.images(manifest)
        revisions = _revisions(images)
        if revisions == {self.plan.commit.sha}:
            self._check_inputs(name, images)
            return manifest
        reference = self.registry.image.tagged(name)
        revision = next((each for each in revisions if each not in {None, self.plan.commit.sha}), None)
        if revision is None:
            msg = f"{reference} exists, but its commit is unknown: it has no label {REVISION}."
            hint = "If it was pushed by hand, delete that tag in the registry and run this again."
            raise CollisionError(msg, hint=hint)
        msg = f"{reference} is the image of commit {quoted(revision)}, not of {self.plan.commit.sha}."
        hint = "Both commits start with the same seven digits: amend the newer one to change its name."
        raise CollisionError(msg, hint=hint)

    def _check_inputs(self, name: str, images: Sequence[ImageProperties]) -> None:
        """Check that an image of the commit is the one that would be built.

        An image of an older version of the pipeline does not record its inputs. Of those only the platform is compared.
        """
        reference = self.registry.image.tagged(name)
        wanted, found = self.plan.recipe.platforms, [each.platform for each in images if each.platform is not None]
        if found and not wanted.match(found):
            msg = f"{reference} is the image of this commit for {_listed(found)}, not for {wanted}."
            raise CollisionError(msg, hint="Publish other platforms under another --name.")
        try:
            inputs = [recorded_inputs(each.labels) for each in images]
        except ValueError as error:
            msg = f"{reference} is the image of this commit, but its label {error} cannot be read."
            raise CollisionError(
                msg, hint="Use the version of this pipeline that published it, or another --name."
            ) from error
        if None in inputs:
            self.progress.notice(
                f"{reference} does not record what it was built from; it is taken as the commit's image."
            )
        for recorded in inputs:
            if recorded is not None and (different := self.plan.inputs.differences(recorded)):
                requested = "; ".join(different)
                msg = f"{reference} is the image of this commit from other build inputs; requested: {requested}."
                raise CollisionError(msg, hint="Publish each of them under its own --name.")

    async def uploaded(self, builder: ImageBuilder) -> Manifest:
        """Upload the image under the commit's tag and read its manifest back."""
        primary = self.plan.tags.primary
        reference = self.registry.image.tagged(primary.name)
        digest = await self.registry.retries.transfer(reference, lambda: builder.upload(self.plan, reference))
        self.reports[primary.name] = self._reported(primary, TagOutcome.WRITTEN)
        with self._with_progress():
            manifest = await self.registry.manifest(digest)
            if manifest is None:
                msg = f"{self.registry.image.at(digest)} was uploaded, but is not in the registry."
                raise RegistryError(msg, hint="Run this again.")
            self._check_platforms(manifest)
        return manifest

    def _check_platforms(self, manifest: Manifest) -> None:
        """Check that an index has an image for each platform; of a single image, the builder has checked that."""
        wanted = self.plan.recipe.platforms
        found = list((manifest.variants() or {}).values())
        if len(wanted.each) > 1 and not wanted.match(found):
            what = f"an index for {_listed(found)}" if found else "a single image"
            msg = f"{self.registry.image.at(manifest.digest)} was uploaded as {what}, not as an index for {wanted}."
            raise BuildError(msg, hint="Report this with the version of the engine; build one platform meanwhile.")

    async def write_tags(self, manifest: Manifest) -> None:
        """Write every tag that is not written yet, stage by stage."""
        with self._with_progress():
            for kinds in _STAGES:
                stage = [tag for tag in self.plan.tags.tags if tag.kind in kinds and tag.name not in self.reports]
                await each(stage, lambda tag: self._write_tag(tag, manifest))

    @contextmanager
    def _with_progress(self) -> Iterator[None]:
        """Add to an error which tags were written and which were not."""
        try:
            yield
        except PipelineError as error:
            missing = [tag.name for tag in self.plan.tags.tags if tag.name not in self.reports]
            if missing:
                done = f"Done: {', '.join(self.reports) or 'no tag'}; not written: {', '.join(missing)}."
                raise error.extended(done) from error
            raise

    async def _write_tag(self, tag: PlannedTag, manifest: Manifest) -> None:
        previous = await self.registry.digest_of(tag.name)
        outcome, reason = await self.outcome_of(tag, previous, manifest.digest)
        if outcome in {TagOutcome.PRESENT, TagOutcome.KEPT}:
            before = previous if outcome is TagOutcome.KEPT else None
            self.reports[tag.name] = self._reported(tag, outcome, before, reason)
            return
        stored = await self.registry.put_tag(tag.name, manifest)
        if stored != manifest.digest:
            msg = f"{self.registry.image.tagged(tag.name)} was stored as {quoted(stored)}, not as {manifest.digest}."
            raise RegistryError(msg, hint="The registry changed the manifest; report this to its administrator.")
        self.reports[tag.name] = self._reported(tag, outcome, previous)

    async def outcome_of(
        self, tag: PlannedTag, previous: str | None, digest: str | None
    ) -> tuple[TagOutcome, str | None]:
        """Return what is to be done with a tag, and why it is kept if it is.

        Args:
            tag: The tag.
            previous: The digest that it points to, or None if there is no such tag.
            digest: The image's digest, or None if it is not built yet.

        Raises:
            WriteOnceError: It points to another image, and is written only once.
        """
        if previous is not None and previous == digest:
            return TagOutcome.PRESENT, None
        if previous is not None and not tag.kind.moves:
            raise self._taken(tag.name, previous)
        if tag.kind is TagKind.LATEST and (reason := await self._keeps_latest()):
            return TagOutcome.KEPT, reason
        return TagOutcome.WRITTEN if previous is None else TagOutcome.MOVED, None

    async def _keeps_latest(self) -> str:
        """Return why `latest` is not moved; empty if it is."""
        version = self.plan.tags.version
        if self.plan.tags.latest is not LatestPolicy.AUTO or version is None:
            return ""
        highest = highest_stable(await self.registry.tags())
        if highest is None or highest <= version:
            return ""
        return f"{highest} is a higher release than {version}"

    async def check_digests(self, digest: str) -> None:
        """Check that every tag that was not kept points to the digest."""
        found: dict[str, str | None] = {}

        async def look_up(name: str) -> None:
            found[name] = await self.registry.digest_of(name)

        await each([name for name, report in self.reports.items() if report.outcome is not TagOutcome.KEPT], look_up)
        wrong = {name: other for name, other in found.items() if other != digest}
        if wrong:
            listed = ", ".join(
                f"{self.registry.image.tagged(name)} {f'points to {other}' if other else 'is missing'}"
                for name, other in sorted(wrong.items())
            )
            msg = f"Not all tags point to {digest}: {listed}."
            raise RegistryError(msg, hint="Another run may have moved them; run this again.")

    def _taken(self, tag: str, digest: str) -> WriteOnceError:
        msg = f"{self.registry.image.tagged(tag)} already points to {digest}, and this tag is written only once."
        return WriteOnceError(msg, hint="Release the change under a new version, or from a new commit.")

    def _reported(
        self,
        tag: PlannedTag,
        outcome: TagOutcome,
        previous: str | None = None,
        reason: str | None = None,
    ) -> TagReport:
        return TagReport(
            name=tag.name,
            kind=tag.kind,
            reference=self.registry.image.tagged(tag.name),
            outcome=outcome,
            previous_digest=previous,
            reason=reason,
        )


def _revisions(images: Collection[ImageProperties]) -> set[str | None]:
    return {each.labels.get(REVISION) for each in images}


def _listed(platforms: Collection[Platform]) -> str:
    return ",".join(sorted(map(str, platforms)))
