"""The guide for adopters: its commands run in the examples, and what it shows is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.acceptance.command import ROOT, Command
from tests.acceptance.guides import Block, blocks, broken_links
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import RunningRegistry

GUIDE = ROOT / "project" / "guides" / "adopting.md"
BLOCKS = blocks(GUIDE)
RUN = [block for block in BLOCKS if block.info.startswith("bash run ")]
SHOWN = [block for block in BLOCKS if not block.info.startswith("bash ")]


def test_every_block_is_run_or_shows_a_file_or_needs_github() -> None:
    others = [block.info for block in BLOCKS if block not in RUN + SHOWN]
    assert set(others) == {"bash needs-github"}


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.info.rpartition(" ")[2])
def test_a_command_runs_in_its_example_as_it_is_written(
    block: Block, lr_ci: Command, registry: RunningRegistry, tmp_path: Path
) -> None:
    workspace = Workspace.with_example(tmp_path / "repository", block.info.rpartition(" ")[2])
    block.run(lr_ci, workspace.folder, registry.host)


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.info)
def test_a_file_is_shown_as_it_is(block: Block) -> None:
    assert block.code == (ROOT / block.info.partition(" ")[2]).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["inputs", "secrets", "outputs"])
def test_the_tables_name_what_the_called_workflow_has(kind: str) -> None:
    table = re.search(rf"^\| {kind[:-1]} \|.*\n\|[-|]+\n(?P<rows>(?:\|.*\n)+)", GUIDE.read_text("utf-8"), re.MULTILINE)
    workflow = YAML(typ="safe", pure=True).load(ROOT / ".github/workflows/build-image.yml")
    assert table is not None
    assert re.findall(r"^\| `(\w+)` \|", table["rows"], re.MULTILINE) == [*workflow["on"]["workflow_call"][kind]]


def test_every_link_leads_somewhere() -> None:
    assert broken_links(GUIDE) == []
