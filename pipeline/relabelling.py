"""Relabelling: the image of another commit with the same build inputs becomes this commit's, without a build.

Most commits of a repository do not touch its backend. Then the layers stay as they are, and the configuration gets this
commit's labels: one small blob and one manifest for each platform, over the registry's API. The bytes follow from the
other image and the labels alone, so they are the same whoever writes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.concurrency import each
from pipeline.progress import Progress
from pipeline.registry.client import Registry
from pipeline.registry.manifests import Manifest, StoredImage
from pipeline.rules.age import shown_age
from pipeline.rules.errors import RegistryError, TransientError
from pipeline.rules.guards import TaggedImage
from pipeline.rules.image_name import ImageName, digest_of
from pipeline.rules.labels import is_made_from, relabelled
from pipeline.rules.planning import RunPlan
from pipeline.rules.report import RelabelledFrom


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image with the same build inputs as a run's.

    Attributes:
        tag: A tag that points to it.
        manifest: Its manifest or index.
        images: The image, or the images of the index.
    """

    tag: str
    manifest: Manifest
    images: tuple[StoredImage, ...]

    @property
    def commit(self) -> str | None:
        """The commit that all of its images are built from; None if that is not known."""
        return self._described.revision

    @property
    def built(self) -> datetime | None:
        """When the oldest of its images was built; of those that do not say, when their commit was made."""
        times = [image.properties.created or self._described.created for image in self.images]
        known = [time for time in times if time is not None]
        return min(known) if len(known) == len(times) else None

    def source(self, image: ImageName) -> RelabelledFrom:
        """Return the image as a report names it."""
        return RelabelledFrom(reference=image.tagged(self.tag), digest=self.manifest.digest, commit=self.commit)

    @property
    def _described(self) -> TaggedImage:
        return TaggedImage(self.manifest.digest, tuple(image.properties.labels for image in self.images))


@dataclass(frozen=True, slots=True)
class Relabelling:
    """What relabelling makes of an image.

    Attributes:
        manifest: The manifest or index.
        inner: The manifests of an index's images.
        configurations: The configurations of the images.
    """

    manifest: Manifest
    inner: tuple[Manifest, ...]
    configurations: tuple[bytes, ...]


async def find_candidate(
    plan: RunPlan, registry: Registry, progress: Progress, now: datetime | None = None
) -> Candidate | None:
    """Look for an image with a plan's build inputs under another commit's name.

    Args:
        plan: The run.
        registry: The HTTP API of the image's repository.
        progress: Shows a notice if there is one, but it is too old or cannot be read.
        now: The time with which its age is compared; the current time if None.

    Raises:
        AuthError: The registry denied access.
    """
    found: dict[str, Candidate] = {}

    async def read(tag: str) -> None:
        try:
            candidate = await _candidate(tag, plan, registry)
        except RegistryError as error:
            reference = registry.image.tagged(tag)
            progress.notice(f"{reference} cannot be read, so it is not relabelled: {error.message}")
            return
        if candidate is not None:
            found[tag] = candidate

    if plan.likely_tags:
        await each(plan.likely_tags, read)
    best = next((found[tag] for tag in plan.likely_tags if tag in found), None)
    if best is None or best.commit == plan.commit.sha:
        return best
    age = None if best.built is None else (now or datetime.now(UTC)) - best.built
    if age is None or age > plan.max_age.time:
        old = "of unknown age" if age is None else f"{shown_age(age)} old (--max-age is {plan.max_age})"
        reference = registry.image.tagged(best.tag)
        progress.notice(f"{reference} has the same build inputs, but is {old}: the image is built anew.")
        return None
    return best


async def relabel(plan: RunPlan, candidate: Candidate, registry: Registry, progress: Progress) -> Manifest | None:
    """Make this commit's image of another commit's, which has the same build inputs. No tag is written.

    Args:
        plan: The run.
        candidate: The other commit's image.
        registry: The HTTP API of the image's repository.
        progress: Shows a notice if the registry does not accept the image.

    Returns:
        The manifest or index, which the registry holds by its digest; None if the registry did not accept it, so that
        the image must be built.

    Raises:
        AuthError: The registry denied access.
        RegistryError: The registry failed.
    """
    made = relabelling(candidate, plan.labels)
    try:
        await each(made.configurations, registry.put_blob)
        await each(made.inner, registry.put_manifest)
        await registry.put_manifest(made.manifest)
    except TransientError:
        raise
    except RegistryError as error:
        reference = registry.image.tagged(candidate.tag)
        progress.notice(f"{reference} cannot be relabelled, so the image is built: {error.message}")
        return None
    return made.manifest


def relabelling(candidate: Candidate, labels: Callable[[Mapping[str, str]], Mapping[str, str]]) -> Relabelling:
    """Replace the labels of an image, or of each image of an index, and keep all else.

    An index's entries that are no images, such as attestations of them, are left out.

    Args:
        candidate: The image.
        labels: Returns the labels that the pipeline sets, given those of the image.
    """
    configurations: list[bytes] = []
    written: dict[str, Manifest] = {}
    for image in candidate.images:
        configuration = _configuration(image, labels, candidate.built)
        configurations.append(configuration)
        document = image.manifest.parsed()
        document["config"] = _descriptor(document["config"], configuration)
        written[image.manifest.digest] = _manifest(document, image.manifest.media_type)
    if list(written) == [candidate.manifest.digest]:
        return Relabelling(written[candidate.manifest.digest], (), tuple(configurations))
    index = candidate.manifest.parsed()
    index["manifests"] = [
        _descriptor(entry, written[entry["digest"]].content)
        for entry in index["manifests"]
        if isinstance(entry, dict) and entry.get("digest") in written
    ]
    return Relabelling(_manifest(index, candidate.manifest.media_type), tuple(written.values()), tuple(configurations))


async def _candidate(tag: str, plan: RunPlan, registry: Registry) -> Candidate | None:
    """Return the image that a tag points to, if it has the plan's build inputs."""
    manifest = await registry.manifest(tag)
    if manifest is None:
        return None
    images = await registry.stored_images(manifest)
    given = [name for name, _ in plan.recipe.labels]
    platforms = [image.properties.platform for image in images if image.properties.platform is not None]
    if not plan.recipe.platforms.match(platforms):
        return None
    same = all(is_made_from(image.properties.labels, plan.inputs, given) for image in images)
    return Candidate(tag, manifest, images) if same else None


def _configuration(
    image: StoredImage, labels: Callable[[Mapping[str, str]], Mapping[str, str]], built: datetime | None
) -> bytes:
    document = json.loads(image.configuration)
    there = image.properties.labels
    document["config"] = document["config"] | {"Labels": dict(sorted(relabelled(there, labels(there)).items()))}
    if image.properties.created is None and built is not None:
        document["created"] = built.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # the age of the layers
    return _json(document)


def _manifest(document: Mapping[str, Any], media_type: str) -> Manifest:
    content = _json(document)
    return Manifest(content, media_type, digest_of(content))


def _descriptor(replaced: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    return {**replaced, "digest": digest_of(content), "size": len(content)}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
