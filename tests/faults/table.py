"""Runs a publication for every cell of faults, steps and times, and prints the results as a Markdown table.

    make faults
    .venv/bin/python -m tests.faults.table --fault 503 --step "tag PUT"

Needs root, buildah, skopeo and docker-registry, as the embedded engine and the tests do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import anyio

from pipeline.concurrency import each
from tests.faults.cells import CELLS, TIMES, Cell, Result, opened_source, run_cell, short_waits
from tests.faults.registry import Fault, Step
from tests.registry_fixtures import running

_AT_ONCE = 8
_NOTHING = "-"


def main() -> None:
    """Run the cells, print the table and every violation; exit with 1 if there is one."""
    parser = argparse.ArgumentParser(description="Publish against a registry that fails.")
    parser.add_argument("--fault", action="append", choices=[fault.value for fault in Fault], help="only this fault")
    parser.add_argument("--step", action="append", choices=[step.value for step in Step], help="only this step")
    parser.add_argument("--at-once", type=int, default=_AT_ONCE, help="how many publications run at the same time")
    options = parser.parse_args()
    cells = [
        cell
        for cell in CELLS
        if cell.fault.value in (options.fault or [cell.fault.value])
        and cell.step.value in (options.step or [cell.step.value])
    ]
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "registry") as registry:
        results = anyio.run(run_cells, cells, registry.host, Path(folder), options.at_once)
    sys.stdout.write("\n".join([*table(results), "", *summary(results)]) + "\n")
    sys.exit(1 if any(result.violations for result in results) else 0)


async def run_cells(cells: Sequence[Cell], upstream: str, folder: Path, at_once: int = _AT_ONCE) -> list[Result]:
    """Run cells, some at a time, and return their results in the order of the cells."""
    found: dict[Cell, Result] = {}
    source_folder = folder / "source"
    source_folder.mkdir()

    with short_waits():
        async with opened_source(source_folder) as source:

            async def run(numbered: tuple[int, Cell]) -> None:
                number, cell = numbered
                found[cell] = await run_cell(cell, f"cell-{number}", source, upstream)
                sys.stderr.write(f"{len(found)}/{len(cells)} {_line(found[cell])}\n")

            await each(enumerate(cells), run, at_once=at_once)
    return [found[cell] for cell in cells]


def table(results: Iterable[Result]) -> list[str]:
    """Return the exit codes by fault and step: once, thrice and for ever. A violation has an exclamation mark."""
    by_cell = {result.cell: result for result in results}
    lines = [f"| fault | {' | '.join(step.value for step in Step)} |", f"|---|{'---|' * len(Step)}"]
    for fault in Fault:
        row = []
        for step in Step:
            codes = [_code(by_cell.get(Cell(fault, step, times))) for times in TIMES]
            row.append(" ".join(codes) if any(codes) else _NOTHING)
        if set(row) != {_NOTHING}:
            lines.append(f"| {fault.value} | {' | '.join(row)} |")
    return lines


def summary(results: Sequence[Result]) -> list[str]:
    """Return the counts, and each violation."""
    wrong = [result for result in results if result.violations]
    missed = [result for result in results if result.hits == 0]
    slowest = max((result.seconds for result in results), default=0.0)
    lines = [f"{len(results)} cells, {len(wrong)} with violations, {len(missed)} whose fault did not happen; "]
    lines[0] += f"the slowest took {slowest:.0f} s, the most requests were {max(r.requests for r in results)}."
    lines += [f"- not hit: {_line(result)}" for result in missed]
    return lines + [f"- {_line(result)}" for result in wrong]


def _code(result: Result | None) -> str:
    if result is None:
        return ""
    code = "hangs" if result.code is None else str(int(result.code))
    return f"{code}!" if result.violations else code


def _line(result: Result) -> str:
    cell = result.cell
    outcome = "no end" if result.code is None else result.code.meaning
    found = "; ".join(result.violations)
    line = f"{cell.fault.value}, {cell.step.value}, {cell.times}: {outcome} in {result.seconds:.1f} s"
    message = result.message.partition("\n")[0]
    return f"{line}, {result.requests} requests. {f'VIOLATION: {found}. {message}' if found else ''}".strip()


if __name__ == "__main__":
    main()
