"""A part of what `make kills` does: signals at points of a run, after which nothing is left and a rerun converges."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

import pytest

from tests.acceptance.kills import Cell, Kills, Point, kills
from tests.registry_fixtures import RunningRegistry


@pytest.fixture(scope="module")
def prepared(shared_registry: RunningRegistry, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kills]:
    with kills(tmp_path_factory.mktemp("kills"), shared_registry, base) as started:
        yield started


@pytest.fixture(scope="module")
def points(prepared: Kills) -> Sequence[Point]:
    found = prepared.points()
    assert len(found) >= 40
    return found


def last(points: Sequence[Point], label: str) -> Point:
    return [point for point in points if point.label.startswith(label)][-1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("label", ["buildah build", "skopeo copy", "PATCH", "PUT …manifests"])
def test_nothing_is_left_of_a_run_that_is_stopped(
    prepared: Kills, points: Sequence[Point], label: str, number: signal.Signals
) -> None:
    cell = Cell({last(points, label): number})
    assert prepared.run(cell).violations(cell) == []


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_if_a_second_signal_comes_in_the_cleanup(
    prepared: Kills, points: Sequence[Point], second: signal.Signals
) -> None:
    first = last(points, "skopeo copy")
    cell = Cell({first: signal.SIGTERM, Point("step", first.number + 2, "cleanup"): second})
    assert prepared.run(cell).violations(cell) == []
