"""The guide to image builds: every command in it is run as it is written, or says that it needs GitHub."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.rules.tagging import branch_tag
from tests.acceptance.command import ROOT, Command
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.preforked import LR_CI

GUIDE = ROOT / "project" / "guides" / "deployment" / "docker-builds.md"
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_BLOCKS = [(match["info"], match["code"]) for match in _FENCE.finditer(GUIDE.read_text(encoding="utf-8"))]
_KINDS = {"bash run", "bash needs-github", "bash tested-elsewhere"}


def test_every_command_of_the_guide_says_who_runs_it() -> None:
    assert {info for info, _ in _BLOCKS} == _KINDS


@pytest.mark.parametrize("code", [code for info, code in _BLOCKS if info == "bash run"])
def test_a_command_of_the_guide_runs_as_it_is_written(
    code: str, lr_ci: Command, workspace: Workspace, published: Image
) -> None:
    path = f"{Path(LR_CI).parent}{os.pathsep}{os.environ['PATH']}"
    environment = lr_ci.with_variables(PATH=path, REGISTRY=published.registry.host).environment

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=workspace.folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_branches_of_the_guide_get_the_tags_that_it_names() -> None:
    table = re.search(r"\| branch \| tag \|\n\|[-|]+\n(?P<rows>(?:\|.*\n)+)", GUIDE.read_text(encoding="utf-8"))
    assert table is not None
    rows = re.findall(r"\| `(.+?)` \| `(.+?)` \|", table["rows"])

    assert len(rows) >= 5
    assert {branch: branch_tag(branch) for branch, _ in rows} == dict(rows)


def test_every_link_of_the_guide_inside_the_repository_leads_somewhere() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    headings = {
        "#" + re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }

    assert links
    for link in links:
        assert link in headings if link.startswith("#") else (GUIDE.parent / link).exists(), link
