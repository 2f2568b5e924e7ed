"""What is measured: runs of the backend, many tags, large contexts, and starts."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.meter import Measured, measured
from bench.ways import Bare, Way, dagger_ways, lr_ci
from bench.workbench import LR_CI, ROOT, base_images, change, clone, environment, registry, repository_of

UNCHANGED = "nothing changed"


@dataclass(frozen=True)
class Row:
    """A comparison.

    Attributes:
        what: What was measured.
        way: How.
        median: The medians of its figures.
        against: The name of what it is compared with; empty if it is the measure of others.
        ratio: Its seconds, divided by those of that.
        mark: The ratio to stay below, if there is one.
    """

    what: str
    way: str
    median: Measured
    against: str = ""
    ratio: float = 1.0
    mark: float | None = None


MARKS = {"cold": 1.15, "code changed": 1.6, UNCHANGED: 0.35, "untouched backend": 0.6}


def runs(rounds: int) -> Iterator[Row]:
    """Publish the backend: each way in each state, one after the other in every round."""
    with tempfile.TemporaryDirectory() as name, base_images(ROOT / "backend" / "Dockerfile") as mirrors:
        folder = Path(name)
        bare = Bare(folder / "bare", mirrors)
        ways: list[Way] = [bare, lr_ci(), *dagger_ways()]
        taken: dict[tuple[str, str], list[Measured]] = {}
        for number in range(rounds):
            for way in ways:
                for state, took in _states(way, folder / f"{number}-{ways.index(way)}"):
                    taken.setdefault((state, way.name), []).append(took)
        medians = {key: Measured.median(each) for key, each in taken.items()}
        for (state, way_name), found in medians.items():
            if way_name == bare.name:
                yield Row(state, way_name, found)
                continue
            other = state if state != "untouched backend" else UNCHANGED
            ratio = found.seconds / medians[other, bare.name].seconds
            yield Row(state, way_name, found, f"{bare.name}, {other}", ratio, MARKS.get(state))


def _states(way: Way, folder: Path) -> Iterator[tuple[str, Measured]]:
    folder.mkdir()
    repository = folder / "repository"
    clone(repository)
    change(repository, "backend/app/models/link.rb")
    way.forget()
    with registry(folder / "first") as there:
        yield "cold", way.publish(repository, there)
    with registry(folder / "second") as there:
        yield "empty registry", way.publish(repository, there)
        yield UNCHANGED, way.publish(repository, there)
        change(repository, "backend/app/models/link.rb")
        yield "code changed", way.publish(repository, there)
        change(repository, "README.md")
        yield "untouched backend", way.publish(repository, there)
        yield "version tag on a built commit", way.publish(repository, there, "refs/tags/v1.0.0")


def tags(rounds: int) -> Iterator[Row]:
    """Promote an image that is there to more and more tags."""
    with tempfile.TemporaryDirectory() as name, registry(Path(name)) as there:
        counts = (1, 3, 10, 50)
        taken: dict[int, list[Measured]] = {count: [] for count in counts}
        for number in range(rounds):
            for count in counts:
                command = [sys.executable, "-m", "bench.many_tags", there.host, str(count), f"r{number}-{count}"]
                taken[count].append(measured(command, ROOT, environment(), there))
        medians = {count: Measured.median(each) for count, each in taken.items()}
        for count, found in medians.items():
            against = "" if count == 1 else "1 tag"
            ratio = found.seconds / medians[1].seconds
            yield Row(
                f"{count} tag{'s' if count > 1 else ''}", "promotion", found, against, ratio, _TAG_MARKS.get(count)
            )


_TAG_MARKS = {10: 1.1, 50: 1.5}


def contexts(rounds: int) -> Iterator[Row]:
    """Publish images that are nothing but files: few, many, and large ones."""
    for what, files, size, mark in (
        ("10 files", 10, 10_000, None),
        ("20,000 files", 20_000, 1_000, 1.2),
        ("1 GB", 10, 100 * 1024**2, None),
    ):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            repository_of(folder / "repository", files, size)
            bare, ours = Bare(folder / "bare", []), lr_ci()
            taken: dict[str, list[Measured]] = {bare.name: [], ours.name: []}
            for number in range(rounds if size < 1024**2 else 1):
                for way in (bare, ours):
                    way.forget()
                    with registry(folder / f"{number}-{way.name}") as there:
                        taken[way.name].append(way.publish(folder / "repository", there))
            first, second = (Measured.median(each) for each in taken.values())
            yield Row(what, bare.name, first)
            yield Row(what, ours.name, second, bare.name, second.seconds / first.seconds, mark)


def starts(rounds: int) -> Iterator[Row]:
    """Start commands that need no engine and no network."""
    baseline = "python -c 'import typer, pydantic'"
    commands: dict[str, Sequence[str | Path]] = {
        baseline: [sys.executable, "-c", "import typer, pydantic"],
        "lr-ci --version": [LR_CI, "--version"],
        "lr-ci --help": [LR_CI, "--help"],
        "lr-ci plan": [LR_CI, "plan"],
    }
    taken: dict[str, list[Measured]] = {name: [] for name in commands}
    for _ in range(3 * rounds):
        for name, command in commands.items():
            taken[name].append(measured(command, ROOT, environment()))
    medians = {name: Measured.median(each) for name, each in taken.items()}
    for name, found in medians.items():
        marks = {"lr-ci --help": 3.0, "lr-ci plan": 4.0}
        against = "" if name == baseline else baseline
        yield Row("start", name, found, against, found.seconds / medians[baseline].seconds, marks.get(name))


SCENARIOS: dict[str, Callable[[int], Iterator[Row]]] = {
    "starts": starts,
    "runs": runs,
    "tags": tags,
    "contexts": contexts,
}
