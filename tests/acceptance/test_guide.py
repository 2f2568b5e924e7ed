"""The guide to image builds: every command in it is run as it is written, or says that it needs GitHub."""

from __future__ import annotations

import re

import pytest

from pipeline.rules.tagging import branch_tag
from tests.acceptance.command import ROOT, Command
from tests.acceptance.guides import Block, blocks, broken_links
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace

GUIDE = ROOT / "project" / "guides" / "deployment" / "docker-builds.md"
_BLOCKS = blocks(GUIDE)
_KINDS = {"bash run", "bash needs-github", "bash tested-elsewhere"}


def test_every_command_of_the_guide_says_who_runs_it() -> None:
    assert {block.info for block in _BLOCKS} == _KINDS


@pytest.mark.parametrize("block", [block for block in _BLOCKS if block.info == "bash run"])
def test_a_command_of_the_guide_runs_as_it_is_written(
    block: Block, lr_ci: Command, workspace: Workspace, published: Image
) -> None:
    block.run(lr_ci, workspace.folder, published.registry.host)


def test_the_branches_of_the_guide_get_the_tags_that_it_names() -> None:
    table = re.search(r"\| branch \| tag \|\n\|[-|]+\n(?P<rows>(?:\|.*\n)+)", GUIDE.read_text(encoding="utf-8"))
    assert table is not None
    rows = re.findall(r"\| `(.+?)` \| `(.+?)` \|", table["rows"])

    assert len(rows) >= 5
    assert {branch: branch_tag(branch) for branch, _ in rows} == dict(rows)


def test_every_link_of_the_guide_inside_the_repository_leads_somewhere() -> None:
    assert broken_links(GUIDE) == []
