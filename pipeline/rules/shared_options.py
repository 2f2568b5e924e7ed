"""The options that `lr-ci` and the module share, each defined once.

Each field of a model here is an option: the field gives its name, type and default, `Option` the rest. `lr-ci` derives
its command line from the models, and the module its defaults and descriptions, as Dagger reads its signatures.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, get_type_hints

from pipeline.rules.age import Age, parse_age
from pipeline.rules.named_values import (
    NamedValues,
    parse_annotations,
    parse_build_args,
    parse_build_secrets,
    parse_labels,
)
from pipeline.rules.platforms import Platform, Platforms, parse_platforms
from pipeline.rules.source_path import parse_source
from pipeline.rules.tagging import LatestPolicy

DEFAULT_REGISTRY = "ghcr.io"
DEFAULT_PLATFORMS = Platforms((Platform("linux", "amd64"),))
DEFAULT_MAX_AGE = parse_age("7d")


@dataclass(frozen=True, slots=True)
class Option:
    """The description of an option.

    Attributes:
        help: The help text, without a full stop.
        fallback: The description of the default, unless that is a fixed value.
        metavar: How the help refers to its value; derived from its type if empty.
        parse: Reads the value, if its type is not one that a command line has; raises `UsageError`.
        parse_all: Reads all values of an option that can be repeated; raises `UsageError`.
    """

    help: str
    fallback: str = ""
    metavar: str = ""
    parse: Callable[[str], Any] | None = None
    parse_all: Callable[[Sequence[str]], Any] | None = None

    def __str__(self) -> str:
        return f"{self.help}; defaults to {self.fallback}" if self.fallback else self.help


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What is built."""

    heading: ClassVar[str] = "Build"

    source: Annotated[
        str,
        Option("Directory to build: its path from the repository's top", metavar="DIR", parse=parse_source),
    ] = "backend"
    dockerfile: Annotated[
        str | None,
        Option("Path of the Dockerfile inside the source", fallback="Dockerfile, or Containerfile if there is none"),
    ] = None
    target: Annotated[str | None, Option("Stage of the Dockerfile to build", fallback="the last one")] = None
    build_arg: Annotated[
        NamedValues, Option("Build argument, repeatable", metavar="NAME=VALUE", parse_all=parse_build_args)
    ] = ()
    build_secret: Annotated[
        NamedValues,
        Option("Secret for RUN --mount=type=secret, repeatable", metavar="ID=PLACE", parse_all=parse_build_secrets),
    ] = ()
    label: Annotated[
        NamedValues, Option("Additional label of the image, repeatable", metavar="NAME=VALUE", parse_all=parse_labels)
    ] = ()
    annotation: Annotated[
        NamedValues,
        Option("Annotation of the image's manifest, repeatable", metavar="NAME=VALUE", parse_all=parse_annotations),
    ] = ()
    platform: Annotated[
        Platforms,
        Option(
            "Platforms to build for, whatever machine builds it; several make an image index",
            metavar="OS/ARCH[,…]",
            parse=parse_platforms,
        ),
    ] = DEFAULT_PLATFORMS


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Where the image is published."""

    heading: ClassVar[str] = "Image"

    registry: Annotated[str, Option("Registry to publish to: a host with an optional port")] = DEFAULT_REGISTRY
    owner: Annotated[str | None, Option("Owner of the image", fallback="the origin's owner if that is on GitHub")] = (
        None
    )
    name: Annotated[str | None, Option("Name of the image", fallback="the name of the origin's repository")] = None


@dataclass(frozen=True, kw_only=True)
class CommitOptions:
    """What the image is published for."""

    heading: ClassVar[str] = "Git"

    ref: Annotated[
        str | None,
        Option(
            "Full git ref to publish for, such as refs/heads/master or refs/tags/v1.2.3",
            fallback="what is checked out",
            metavar="REF",
        ),
    ] = None
    sha: Annotated[str | None, Option("Full commit, 40 hex digits", fallback="what is checked out", metavar="SHA")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class TagOptions:
    """Which tags are written."""

    heading: ClassVar[str] = "Tags"

    latest: Annotated[
        LatestPolicy,
        Option("When a release also becomes latest: auto (if no higher release is published), always or never"),
    ] = LatestPolicy.AUTO
    force_move: Annotated[
        bool, Option("Move the branch's tag even if it names the image of a later commit, as for a rollback")
    ] = False


@dataclass(frozen=True, kw_only=True)
class PlanOptions(TagOptions):
    """What a plan shows."""

    online: Annotated[bool, Option("Ask the registry, and show what would be done with each tag")] = False


@dataclass(frozen=True, kw_only=True)
class PublishOptions(TagOptions):
    """What may be published, and what must be built for it."""

    allow_dirty: Annotated[
        bool, Option("Publish a working tree that differs from its commit, under a sha-…-dirty-… tag alone")
    ] = False
    no_reuse: Annotated[
        bool, Option("Build even if the registry has an image of another commit with the same build inputs")
    ] = False
    max_age: Annotated[
        Age,
        Option(
            "Oldest image of another commit with the same build inputs that is relabelled instead of built",
            metavar="AGE",
            parse=parse_age,
        ),
    ] = DEFAULT_MAX_AGE


@dataclass(frozen=True, kw_only=True)
class RunRequest(BuildOptions, ImageOptions, CommitOptions, PublishOptions):
    """What a caller requests of the pipeline; None leaves the choice to git or the engine."""


@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """How the registry is accessed."""

    heading: ClassVar[str] = "Access"

    username: Annotated[
        str | None, Option("User at the registry; GHCR accepts any user with a token", fallback="the image's owner")
    ] = None
    token: Annotated[
        str | None,
        Option(
            "Token or password for the registry: env:NAME, file:PATH or cmd:COMMAND; GHCR requires write:packages",
            metavar="PLACE",
        ),
    ] = None
    timeout: Annotated[
        int,
        Option("Limit of one operation at the registry with its retries, in seconds", metavar="SECONDS"),
    ] = 120


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """What a published image must do."""

    heading: ClassVar[str] = "Checks"

    digest: Annotated[
        str | None, Option("Digest of the image to verify", fallback="the one that the commit's tag points to")
    ] = None
    command: Annotated[
        str | None,
        Option("Command that must succeed in the image, instead of its own checks unless a path or port is given"),
    ] = None
    path: Annotated[
        str | None, Option("Path that the server must answer, instead of the image's HEALTHCHECK", metavar="PATH")
    ] = None
    port: Annotated[
        int | None,
        Option("Port that the server must listen on, also its variable PORT", fallback="what the image exposes"),
    ] = None


def environment_variable(name: str) -> str:
    """Return the environment variable that sets an option of `lr-ci`."""
    return f"LR_CI_{name.upper()}"


def options_of(model: type) -> dict[str, Option]:
    """Return the shared options of a model, by name."""
    hints = get_type_hints(model, include_extras=True)
    found = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: notes[0] for name, notes in found.items() if notes and isinstance(notes[0], Option)}


_GROUPS = (RunRequest, PlanOptions, AccessOptions, VerifyOptions)
SHARED = {name: option for group in _GROUPS for name, option in options_of(group).items()}
"""Every shared option, by name."""
