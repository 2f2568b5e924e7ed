from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

from ci.system.dagger_version import DAGGER_VERSION

ROOT = Path(__file__).parents[3]


def test_the_pinned_sdk_is_the_one_that_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"dagger-io=={DAGGER_VERSION.removeprefix('v')}" in project["optional-dependencies"]["ci"]


def test_the_module_requires_an_engine_of_that_version() -> None:
    assert json.loads((ROOT / "dagger.json").read_text(encoding="utf-8"))["engineVersion"] == DAGGER_VERSION


def test_the_workflows_read_the_version_of_the_module() -> None:
    workflows = [YAML(typ="safe").load(path) for path in (ROOT / ".github/workflows").glob("*.yml")]
    jobs = [job.get("steps", ()) for workflow in workflows for job in workflow["jobs"].values()]
    installing = [(step, steps) for steps in jobs for step in steps if "dagger-for-github" in step.get("uses", "")]

    assert len(installing) > 1
    for step, steps in installing:
        reference = re.fullmatch(r"\$\{\{ steps\.([\w-]+)\.outputs\.(\w+) \}\}", step["with"]["version"])
        assert reference is not None
        (script,) = [each["run"] for each in steps if each.get("id") == reference[1]]
        (line,) = [line for line in script.splitlines() if "engineVersion" in line]
        command = ["sh", "-c", line.replace('"$GITHUB_OUTPUT"', "/dev/stdout")]
        read = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
        assert read == f"{reference[2]}={DAGGER_VERSION}\n"


def test_nothing_else_that_runs_spells_it() -> None:
    spelled = {
        str(path.relative_to(ROOT))
        for folder in ("ci", "pipeline", "bin", "bench", ".github", "tests/ci", "tests/conformance")
        for path in (*(ROOT / folder).rglob("*"), ROOT / "README.md")
        if path.suffix not in {".pyc", ".md"} and path.is_file() and DAGGER_VERSION in path.read_text(encoding="utf-8")
    }
    assert spelled <= {"pipeline/engine/failures.py"}  # which engine's messages were read
