"""`lr-ci` as a person runs it: another process, whose answer, messages and exit code are all there is to see."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from pipeline.rules.report import BuildReport
from tests import preforked
from tests.preforked import LR_CI

ROOT = Path(__file__).parents[2]
KEPT = platformdirs.user_cache_path("backend-pipeline-tests")
"""What is kept from one test session to the next; safe to delete."""
_SECONDS = 300


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        exit_code: Its exit status.
        stdout: Its answer.
        stderr: Everything else that it said.
    """

    exit_code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """What it says went wrong: from `error:` to its last line; empty where it says nothing of the kind."""
        _, found, text = self.stderr.rpartition("\nerror: " if "\nerror: " in self.stderr else "error: ")
        return text.rstrip("\n") if found else ""

    @property
    def report(self) -> BuildReport:
        """The report that `--json` printed."""
        return BuildReport.model_validate_json(self.stdout, strict=True, extra="forbid")

    def succeeded(self) -> Ended:
        """Return this, once it is sure that all went well."""
        assert self.exit_code == 0, self.stderr
        return self


@dataclass(frozen=True)
class Command:
    """`lr-ci` with caches of its own.

    Attributes:
        cache: What stands for the user's cache folder.
        variables: Further environment variables.
    """

    cache: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def engine_folder(self) -> Path:
        """Where the embedded engine keeps its store."""
        return self.cache / "backend-pipeline" / "engine"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the command: this process's without what would change its meaning."""
        own = {
            "XDG_CACHE_HOME": str(self.cache),
            "LR_CI_ENGINE": "embedded",
            "LC_ALL": "C.UTF-8",
            # A start of Python takes a third of the time when nothing has to be compiled.
            "PYTHONPYCACHEPREFIX": str(KEPT / "python"),
        }
        return preforked.own_environment() | own | self.variables

    def with_variables(self, **variables: str) -> Command:
        """Return the same with further environment variables."""
        return Command(self.cache, self.variables | variables)

    def start(self, folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start the program itself in a folder."""
        pipe = subprocess.PIPE
        command = [str(LR_CI), *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, folder: Path, *arguments: str | Path) -> Ended:
        """Run it in a folder to its end."""
        return Ended(*preforked.run([str(each) for each in arguments], folder, self.environment, seconds=_SECONDS))


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a command."""
    try:
        stdout, stderr = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Ended(process.returncode, stdout, stderr)
