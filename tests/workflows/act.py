"""Runs the workflows of `.github` with act, directly on the host, and reads the results.

Third-party actions have local stand-ins (`stand_ins/`); the real ones run only on GitHub. act 0.2.89 does not have the
contexts `job.workflow_*`: the copies of our workflows read `env.JOB_WORKFLOW_*` in their place. It refuses the property
`queue` of `concurrency`, which the copies leave out. It loses the results of a called workflow that calls another: the
copies of the deployment workflows call `build-image.yml` as `build-backend.yml` does. It may lose the last output of a
step that fails: `stand_ins/bin/bash` gives it the time to read it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.command import ROOT
from tests.acceptance.workspace import Workspace

BIN = Path(sys.executable).parent
WORKFLOWS = ROOT / ".github" / "workflows"
ACTOR = "octocat"
TOKEN = "ghs_made0up0and0long0enough0to0be0one"
REPOSITORY = "LinkRadar/linkradar"
TOOL, TOOL_REF = "linkradar/backend-pipeline", "v0.1.0"
"""The repository with our workflows, as others call them."""
_STAND_INS = Path(__file__).with_name("stand_ins")
_USES = re.compile(r"uses: (?P<action>[^\s./][^\s@]+)@(?P<ref>\S+)")
_WORKFLOW_CONTEXT = re.compile(rb"\bjob\.(workflow_sha|workflow_repository)\b")
_QUEUE = re.compile(rb"^  queue: max\n", re.MULTILINE)
_CALL = re.compile(rb"(\./\.github/workflows/build-)backend")
_FOREIGN = (
    *("ACT", "DAGGER_", "_EXPERIMENTAL_DAGGER_", "GIT_", "GITHUB_", "LR_CI_"),
    *("MAKE", "PYTHON", "VIRTUAL_ENV", "UV_"),
)
_NEEDED = [
    "pyproject.toml",
    "uv.lock",
    "README.md",
    "LICENSE",
    "dagger.json",
    ".env",
    ".gitignore",
    "pipeline",
    "ci",
    ".github",
]
_SECONDS = 300


@dataclass(frozen=True)
class Step:
    """One step of a job that ran.

    Attributes:
        result: `success`, `failure` or `skipped`.
        exit_code: The exit code of its command if that failed.
        output: The output of its command.
        outputs: Its step outputs.
        summary: Its part of the job summary.
    """

    result: str = ""
    exit_code: int = 0
    output: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""


@dataclass(frozen=True)
class Run:
    """A workflow that ran.

    Attributes:
        exit_code: The exit code of act: 0 if all jobs succeeded.
        events: The log of act.
        artifacts: The directory of uploaded artifacts.
        text: The whole output of act.
    """

    exit_code: int
    events: list[dict[str, Any]]
    artifacts: Path
    text: str

    def succeeded(self) -> Run:
        """Check that all jobs succeeded, and return this."""
        assert self.exit_code == 0, self.shown
        return self

    @property
    def shown(self) -> str:
        """The log as text."""
        return "\n".join(str(event["msg"]).rstrip() for event in self.events) or self.text

    @property
    def jobs(self) -> dict[str, str]:
        """The result of each job that ran, by its id."""
        return {event["jobID"]: event["jobResult"] for event in self.events if "jobResult" in event}

    def step(self, name: str) -> Step:
        """Return a step by its name; the result is empty if it did not run."""
        mine = [event for event in self.events if event.get("step") == name and event.get("stage") == "Main"]
        results = [event["stepResult"] for event in mine if "stepResult" in event]
        exits = [re.fullmatch(r"exit status (\d+)", str(event["msg"])) for event in mine]
        return Step(
            result=results[-1] if results else "",
            exit_code=next((int(match[1]) for match in exits if match), 0),
            output="".join(str(event["msg"]) for event in mine if event.get("raw_output")),
            outputs={event["name"]: event["arg"] for event in mine if event.get("command") == "set-output"},
            summary="".join(event["content"] for event in mine if event.get("command") == "summary"),
        )


@dataclass(frozen=True)
class Act:
    """A runner on the host.

    Attributes:
        folder: The directory for the files of runs.
        registry: The registry that the stand-in for the Dagger CLI publishes to, `localhost:PORT`.
        cache: The cache directory of the embedded engine.
        packages: The virtual environment of uv, which the runs share.
        api: The URL in place of GitHub's API; nothing answers at the default.
        actor: The user who pushes.
        token: The job's token.
        variables: The repository's variables.
        secrets: The repository's secrets.
        tool: The repository `TOOL`, if the workflows that are called come from there and not from the caller itself.
    """

    folder: Path
    registry: str
    cache: Path
    packages: Path
    api: str = "http://127.0.0.1:9"
    actor: str = ACTOR
    token: str = TOKEN
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    tool: Workspace | None = None

    def push(self, workspace: Workspace, workflow: str, ref: str = "refs/heads/master") -> Run:
        """Run a workflow on the push of a ref."""
        return self.run(workspace, workflow, "push", {"ref": ref, "after": workspace.head})

    def run(
        self, workspace: Workspace, workflow: str, event: str, payload: Mapping[str, Any], job: str | None = None
    ) -> Run:
        """Run a workflow, or one of its jobs, on an event."""
        event_file = self.folder / "event.json"
        event_file.write_text(json.dumps({"repository": {"default_branch": "master"}, **payload}), encoding="utf-8")
        command: list[str | Path] = [BIN / "act", event, "--json", "--workflows", f".github/workflows/{workflow}.yml"]
        command += ["--platform", "ubuntu-latest=-self-hosted", "--eventpath", event_file]
        command += ["--actor", self.actor, "--no-cache-server", "--no-skip-checkout"]
        command += ["--concurrent-jobs", "1"]  # they share one virtual environment
        command += [] if job is None else ["--job", job]
        for name, value in self.variables.items():
            command += ["--var", f"{name}={value}"]
        for name in ("GITHUB_TOKEN", *self.secrets):
            command += ["--secret", name]
        for action, folder in stand_ins().items():
            command += ["--local-repository", f"{action}={folder}"]
        if self.tool is not None:
            command += ["--local-repository", f"{TOOL}@{TOOL_REF}={self.tool.folder}"]
        for name, value in self._step_variables(workspace).items():
            command += ["--env", f"{name}={value}"]
        done = subprocess.run(
            command,
            cwd=workspace.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Run(done.returncode, events, self.folder / "artifacts", done.stdout + done.stderr)

    def _step_variables(self, workspace: Workspace) -> dict[str, str]:
        """Return the variables of steps: GitHub's URL, the workflow's commit, and those of the stand-ins."""
        repositories = {REPOSITORY: workspace} | ({} if self.tool is None else {TOOL: self.tool})
        for name, repository in repositories.items():
            place = self.folder / "github" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(repository.folder)
        return {
            "GITHUB_API_URL": self.api,
            "JOB_WORKFLOW_REPOSITORY": [*repositories][-1],
            "JOB_WORKFLOW_SHA": (self.tool or workspace).head,
            "STAND_IN_GITHUB": str(self.folder / "github"),
            "STAND_IN_ARTIFACTS": str(self.folder / "artifacts"),
            "STAND_IN_CACHE": str(self.cache),
            "STAND_IN_PYTHON": sys.executable,
            "STAND_IN_REGISTRY": self.registry,
            "STAND_IN_ROOT": str(ROOT),
            "STAND_IN_UV": str((BIN / "uv").resolve()),
        }

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        uv_cache = os.environ.get("UV_CACHE_DIR") or Path(
            os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "uv"
        )
        return inherited | {
            "PATH": f"{_STAND_INS / 'bin'}{os.pathsep}{inherited['PATH']}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "UV_CACHE_DIR": str(uv_cache),
            "UV_PROJECT_ENVIRONMENT": str(self.packages),
            "UV_SYSTEM_CERTS": "true",
            "UV_NATIVE_TLS": "true",
            **self.secrets,
            "GITHUB_TOKEN": self.token,
            "LC_ALL": "C.UTF-8",
        }


def stand_ins() -> dict[str, Path]:
    """Return the stand-in for each action that the workflows use, by the action and its pin."""
    used = {match[0] for path in WORKFLOWS.glob("*.yml") for match in _USES.finditer(path.read_text(encoding="utf-8"))}
    actions = {use.removeprefix("uses: ") for use in used}
    return {action: _STAND_INS / action.partition("@")[0].rpartition("/")[2] for action in sorted(actions)}


def repository(folder: Path, message: str = "Keep links\n\nAll of them.", dockerfile: str | None = None) -> Workspace:
    """Create a repository with one commit: our pipeline and workflows, with our backend or another Dockerfile."""
    workspace = Workspace.create(folder)
    needed = [*_NEEDED, "backend"] if dockerfile is None else _NEEDED
    for path in _present(needed):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = (ROOT / path).read_bytes()
        target.write_bytes(_for_act(target.name, content) if target.is_relative_to(folder / ".github") else content)
        target.chmod((ROOT / path).stat().st_mode & 0o777)
    if dockerfile is not None:
        workspace.write("backend/Dockerfile", dockerfile)
    workspace.commit(message)
    return workspace


def _for_act(name: str, workflow: bytes) -> bytes:
    """Return a workflow without what act does not know, as said above."""
    workflow = _QUEUE.sub(b"", workflow)
    if name.startswith("deploy-"):
        return _CALL.sub(rb"\1image", workflow)
    return _WORKFLOW_CONTEXT.sub(lambda match: b"env.JOB_" + match[1].upper(), workflow)


def _present(paths: list[str]) -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).is_file()]
