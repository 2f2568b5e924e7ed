from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("dagger", "gql", "githubkit", "graphql", "starlette", "uvicorn")
SHA = "9c68c4a0b1d2e3f405162738495a6b7c8d9e0f1a"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plan", "--owner", "acme", "--ref", "refs/heads/master", "--sha", SHA],
        ["build", "--source", "/no/such/directory"],
        ["doctor", "--json"],
        ["registry", "status"],
        ["github", "outputs", "--report", "/no/such/report"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_loads_slowly_is_loaded_by_the_commands_that_use_it_alone(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom ci.cli import main\n"
        "try:\n    main()\nfinally:\n"
        f"    print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr.splitlines()[-1] == "[]", done.stderr
