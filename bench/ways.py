"""The ways to publish an image that are compared: `lr-ci`, a builder and pushes by hand, and a Dagger engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.meter import Measured, measured
from bench.workbench import LR_CI, bare_environment, environment, forget_layers
from ci.engine.store.storage import Mirror
from ci.local_registry.settings import RegistrySettings

IMAGE = "linkradar/lr-backend"


class Way(Protocol):
    """A way to publish the image of a repository."""

    @property
    def name(self) -> str:
        """How the table calls it."""

    def forget(self) -> None:
        """Forget every layer that was built."""

    def publish(self, repository: Path, registry: RegistrySettings, ref: str | None = None) -> Measured:
        """Publish what is checked out: as a branch, or for a ref."""


@dataclass(frozen=True)
class Command:
    """A program that publishes: `lr-ci` on the embedded engine, or a Dagger engine's ways.

    Attributes:
        name: How the table calls it.
        words: The program, with what stands before the options.
        engine: Whether it has an engine of its own, whose layers can be forgotten.
    """

    name: str
    words: Sequence[str | Path]
    engine: str = "embedded"

    def forget(self) -> None:
        """Forget the embedded engine's layers; a Dagger engine keeps its own."""
        if self.engine == "embedded":
            forget_layers()

    def publish(self, repository: Path, registry: RegistrySettings, ref: str | None = None) -> Measured:
        """Publish by `build-and-push`."""
        if self.words[1:2] == ("call",):
            options = ["--registry", registry.host, "--owner", "linkradar", "--name", "lr-backend", "build-and-push"]
            options += ["--registry-service", f"tcp://{registry.host}"]
        else:
            options = ["build-and-push", "--registry", registry.host]
        command = [*self.words, *options, *(() if ref is None else ("--ref", ref))]
        return measured(command, repository, environment() | {"LR_CI_ENGINE": self.engine}, registry)


@dataclass(frozen=True)
class Bare:
    """Buildah by hand: build, and one push for each of three tags.

    Attributes:
        folder: Its store.
        mirrors: Where it finds base images.
    """

    folder: Path
    mirrors: list[Mirror]
    name: str = "buildah bud and three pushes"

    def forget(self) -> None:
        """Forget its store."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def publish(self, repository: Path, registry: RegistrySettings, ref: str | None = None) -> Measured:
        """Build and push."""
        del ref
        variables = bare_environment(self.folder, self.mirrors, registry.host)
        policy: list[str | Path] = ["--signature-policy", self.folder / "policy.json"]
        isolation = ["--isolation", "oci", "--runtime", "runc", "--network", "host"]
        build = ["buildah", "build", "--layers", *isolation, "--tag", "bench:1"]
        took = measured([*build, *policy, repository / "backend"], repository, variables, registry)
        for tag in ("sha-0000000", "master", "latest"):
            target = f"docker://{registry.host}/{IMAGE}:{tag}"
            took = took.plus(measured(["buildah", "push", *policy, "bench:1", target], repository, variables, registry))
        return took


def lr_ci() -> Command:
    """Return `lr-ci` on the embedded engine."""
    return Command("lr-ci", (LR_CI,))


def dagger_ways() -> list[Command]:
    """Return the ways of a Dagger engine, if the CLI is on PATH."""
    program = shutil.which(os.environ.get("_EXPERIMENTAL_DAGGER_CLI_BIN") or "dagger")
    if program is None:
        return []
    return [
        Command("dagger call", (program, "call"), engine="dagger"),
        Command("dagger run lr-ci", (program, "run", LR_CI), engine="dagger"),
    ]
