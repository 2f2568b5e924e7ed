"""A small part of what `make faults` runs: each kind of fault, in steps of this process and of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import require_embedded_engine
from tests.faults.cells import CELLS
from tests.faults.registry import Fault, Step
from tests.faults.table import run_cells, summary, table
from tests.registry_fixtures import RunningRegistry, shared_registry

__all__ = ["shared_registry"]

pytestmark = [pytest.mark.engine, pytest.mark.registry]

SMALL_PART = [
    cell
    for cell in CELLS
    if (cell.times == "once" and cell.step in {Step.MANIFEST, Step.TAG, Step.UPLOADED} and cell.fault is not Fault.HUGE)
    or (cell.times == "for ever" and cell.step in {Step.PING, Step.RELABEL_MANIFEST})
]


async def test_a_publication_ends_well_or_says_why_and_the_next_one_finishes(
    shared_registry: RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_embedded_engine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    results = await run_cells(SMALL_PART, shared_registry.host, tmp_path)
    violations = [result for result in results if result.violations]
    assert not violations, "\n".join([*table(violations), *summary(violations)])
    assert [result.cell for result in results if result.hits == 0] == []
