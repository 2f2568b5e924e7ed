"""The build inputs: all that decides what an image is, apart from the commit's own labels.

Pure. The inputs are labels of the image, so that a later run can tell whether an image in the registry is the one that
it would build. They hold no secret: of a build argument only a hash, of a build secret only its id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.rules.named_values import NamedValues
from pipeline.rules.platforms import Platforms
from pipeline.rules.text import quoted

PREFIX = "io.github.linkradar.build-inputs"
INPUTS = PREFIX
"""The label with the inputs, as JSON."""

KEY = f"{PREFIX}.key"
"""The label with the SHA-256 of that JSON."""

_SHORT = 12


DOCKERFILES = ("Dockerfile", "Containerfile")
"""The names of a Dockerfile that is not given, in the order in which they are looked for."""


def default_dockerfile(found: Collection[str]) -> str:
    """Return the name of the Dockerfile if none is given: the first that was found, or the usual one."""
    return next((name for name in DOCKERFILES if name in found), DOCKERFILES[0])


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image is built from its source.

    Attributes:
        dockerfile: The Dockerfile's path in the source.
        platforms: What the image runs on.
        target: The stage to build; empty for the last one.
        build_args: The values of build arguments.
        secrets: The ids of build secrets.
        labels: Labels besides those of the pipeline.
        annotations: Annotations of the manifest.
    """

    dockerfile: str
    platforms: Platforms
    target: str = ""
    build_args: NamedValues = ()
    secrets: tuple[str, ...] = ()
    labels: NamedValues = ()
    annotations: NamedValues = ()

    def inputs(self, tree: str | None) -> BuildInputs:
        """Return the build inputs of an image of a source directory, given git's id of it."""
        return BuildInputs(
            tree=tree,
            dockerfile=self.dockerfile,
            platforms=tuple(map(str, self.platforms.each)),
            target=self.target,
            build_args=hashed(self.build_args),
            secrets=self.secrets,
            annotations=self.annotations,
        )


class BuildInputs(BaseModel):
    """What an image is built from.

    Attributes:
        tree: Git's id of the source directory; None if it is not known.
        dockerfile: The Dockerfile's path in the source.
        target: The stage to build; empty for the last one.
        build_args: SHA-256 digests of the values of the build arguments, by name.
        secrets: The ids of the build secrets.
        platforms: What the image runs on.
        annotations: The annotations of the manifest, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tree: str | None
    dockerfile: str
    platforms: tuple[str, ...]
    target: str = ""
    build_args: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()

    def document(self) -> str:
        """Return the inputs as canonical JSON: sorted, without spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    def labels(self) -> dict[str, str]:
        """Return the labels that record the inputs."""
        document = self.document()
        return {INPUTS: document, KEY: hashlib.sha256(document.encode()).hexdigest()}

    def differences(self, other: BuildInputs) -> tuple[str, ...]:
        """Return in words what differs, each as `source tree 1234 instead of abcd`; a tree that is not known does not.

        Args:
            other: The inputs that this one is compared with.
        """
        return tuple(self._differences(other))

    def _differences(self, other: BuildInputs) -> Iterator[str]:
        if self.tree != other.tree and self.tree is not None and other.tree is not None:
            yield f"source tree {self.tree[:_SHORT]} instead of {other.tree[:_SHORT]}"
        for name, ours, theirs in (
            ("Dockerfile", self.dockerfile, other.dockerfile),
            ("target", self.target, other.target),
            ("platform", ",".join(self.platforms), ",".join(other.platforms)),
            ("build secrets", ",".join(self.secrets), ",".join(other.secrets)),
        ):
            if ours != theirs:
                yield f"{name} {quoted(ours)} instead of {quoted(theirs)}"
        for what, mine, others in (
            ("build argument", dict(self.build_args), dict(other.build_args)),
            ("annotation", dict(self.annotations), dict(other.annotations)),
        ):
            for name in sorted(mine.keys() | others.keys()):
                if mine.get(name) != others.get(name):
                    how = "with another value" if name in mine and name in others else "added"
                    yield f"{what} {quoted(name)} {how if name in mine else 'missing'}"


def hashed(values: NamedValues) -> NamedValues:
    """Return the SHA-256 digests of values."""
    return tuple((name, hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()) for name, value in values)


def recorded_inputs(labels: Mapping[str, str]) -> BuildInputs | None:
    """Return the inputs that an image's labels record; None if there are none.

    Raises:
        ValueError: The label is not what this version writes.
    """
    document = labels.get(INPUTS)
    if document is None:
        return None
    try:
        return BuildInputs.model_validate_json(document)
    except ValidationError as error:
        raise ValueError(INPUTS) from error
