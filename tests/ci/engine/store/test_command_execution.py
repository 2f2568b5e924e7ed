"""What an earlier command gave is taken again from its note, as long as the note is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ci.engine.conftest import OpenEngine

pytestmark = [pytest.mark.engine, pytest.mark.registry]


async def ran(open_engine: OpenEngine, folder: Path, base: str) -> bool:
    """Run a command in a session of its own and tell whether that was needed."""
    async with open_engine(folder) as opened:
        container = opened.dag.container().from_(base).with_exec(["sh", "-c", "echo noted"])
        assert await container.stdout() == "noted\n"
        return not opened.finished("run ")[0].cached


def without(note: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in note.items() if name != field}


async def test_a_damaged_note_counts_as_none(open_engine: OpenEngine, warm_folder: Path, base: str) -> None:
    before = set((warm_folder / "execs").glob("*.json"))
    await ran(open_engine, warm_folder, base)
    (note,) = set((warm_folder / "execs").glob("*.json")) - before
    assert not await ran(open_engine, warm_folder, base)
    whole = json.loads(note.read_text())

    for damaged in (
        "",
        "{",
        "null",
        "[]",
        json.dumps(without(whole, "image")),
        json.dumps(without(whole, "stdout")),
        json.dumps(whole | {"exit_code": "0"}),
        json.dumps(whole | {"image": 3}),
        json.dumps(whole | {"image": "--help"}),
        json.dumps(whole | {"more": ""}),
    ):
        note.write_text(damaged)
        assert await ran(open_engine, warm_folder, base), damaged
        assert without(json.loads(note.read_text()), "image") == without(whole, "image"), damaged
    note.write_bytes(b"\xff\xfe")
    assert await ran(open_engine, warm_folder, base)
