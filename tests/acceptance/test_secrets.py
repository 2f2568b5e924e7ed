"""A token is seen by the registry alone."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.command import Command, Ended, ended
from tests.acceptance.leftovers import MEMORY, folders_in
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry, running


@contextmanager
def sampled_command_lines() -> Iterator[set[str]]:
    """Collect the command line of every process that is seen while the block runs."""
    seen: set[str] = set()
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.002)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_a_token_is_in_no_command_line_no_output_and_no_file(
    own_lr_ci: Command, small: Workspace, registry_with_auth: RunningRegistry
) -> None:
    lr_ci = own_lr_ci.with_variables(THE_TOKEN=PASSWORD)
    arguments = ["build-and-push", "--registry", registry_with_auth.host, "--debug", "--json"]

    with sampled_command_lines() as seen:
        run = lr_ci.run(small.folder, *arguments, "--username", USER, "--token", "env:THE_TOKEN").succeeded()

    assert run.report.built
    assert Image(registry_with_auth).digest("master") == run.report.digest
    for program in ("buildah", "skopeo"):
        assert any(program in line and str(lr_ci.cache) in line for line in seen), f"{program} was not seen"
    assert not [line for line in seen if PASSWORD in line]
    assert PASSWORD not in run.stdout + run.stderr
    assert not [path for path in lr_ci.cache.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_a_wrong_token_is_in_no_output(
    own_lr_ci: Command, small: Workspace, registry_with_auth: RunningRegistry
) -> None:
    wrong = "hunter2-but-longer"
    lr_ci = own_lr_ci.with_variables(THE_TOKEN=wrong)
    arguments = ["build-and-push", "--registry", registry_with_auth.host, "--debug", "--token", "env:THE_TOKEN"]

    run = lr_ci.run(small.folder, *arguments)

    assert run.exit_code == 4
    assert wrong not in run.stdout + run.stderr


# Python runs this before the command: it writes down what each child is started with. Children do not get it.
HOOK = """
import os, sys

def hook(event, arguments):
    if event == "subprocess.Popen":
        _, words, _, variables = arguments
        given = dict(os.environ if variables is None else variables)
        with open(os.environ["CHILDREN"], "a") as file:
            print([os.fsdecode(word) for word in words], given, file=file)

sys.addaudithook(hook)
"""
CANARIES = {"THE_TOKEN": PASSWORD, "GITHUB_TOKEN": "ghs_canary0of0a0job0000", "NPM_TOKEN": "npm_canary0of0a0build"}
"""Recognizable tokens: of the registry, of the job, and of the build."""


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret is written on its way to a server."""
    plain, with_user = secret.encode(), f"{USER}:{secret}".encode()
    return {secret, quote(secret), base64.b64encode(plain).decode(), base64.b64encode(with_user).decode()}


def found(text: str) -> list[str]:
    """Return the names of the canaries in a text."""
    return [name for name, secret in CANARIES.items() if any(spelling in text for spelling in spellings(secret))]


@dataclass(frozen=True)
class Canary:
    """`lr-ci` with canaries in its variables, and a repository whose image was published with them.

    Attributes:
        lr_ci: The command.
        workspace: What is built.
        registry: Requires the password that is a canary.
        folder: All files of the runs, those of the registry apart.
    """

    lr_ci: Command
    workspace: Workspace
    registry: RunningRegistry
    folder: Path

    def run(self, line: str) -> tuple[Ended, str]:
        """Run a command that leaves nothing in memory; return how it ended and what its children were started with."""
        children = self.folder / "children"
        children.write_text("")
        image = ["--registry", self.registry.host, "--build-secret", "npm=env:NPM_TOKEN"]
        access = ["--username", USER, "--token", "env:THE_TOKEN"]
        words = [
            word
            for part in line.split()
            for word in {"IMAGE": image, "ACCESS": access}.get(part, [part.replace("FOLDER", str(self.folder))])
        ]
        process = self.lr_ci.start(self.workspace.folder, *words)
        done = ended(process)
        assert folders_in(MEMORY, f"lr-ci-{process.pid}-*") == []
        started = children.read_text()
        children.unlink()
        return done, started


@pytest.fixture(scope="module")
def canary(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    folder = tmp_path_factory.mktemp("canary")
    (folder / "sitecustomize.py").write_text(HOOK)
    (folder / "tmp").mkdir()
    dockerfile = f'FROM {base}\nRUN --mount=type=secret,id=npm cat /run/secrets/npm && touch /built\nCMD ["true"]\n'
    workspace = Workspace.with_dockerfile(folder / "repository", dockerfile)
    variables = {
        "PYTHONPATH": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "CHILDREN": str(folder / "children"),
        "GITHUB_OUTPUT": str(folder / "outputs"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_API_URL": "http://127.0.0.1:9",
    }
    with running(tmp_path_factory.mktemp("registry-of-canary") / "registry", with_auth=True) as registry:
        started = Canary(Command(folder / "cache", variables | CANARIES), workspace, registry, folder)
        assert_unseen(started, "build-and-push IMAGE ACCESS --debug --report FOLDER/build-report.json", 0)
        yield started


def assert_unseen(canary: Canary, line: str, code: int | None) -> None:
    """No canary is in the output of a command, in the arguments and variables of its children, or in a file."""
    done, children = canary.run(line.replace("REGISTRY", canary.registry.host))
    assert code is None or done.exit_code == code, done.stderr
    assert found(done.stdout + done.stderr) == []
    assert found(children) == []
    files = [path for path in canary.folder.rglob("*") if path.is_file()]
    assert {path: names for path in files if (names := found(path.read_bytes().decode("latin-1")))} == {}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("build-and-push IMAGE ACCESS --debug --json", 0),
        ("plan IMAGE --debug --json", 0),
        ("plan IMAGE ACCESS --online --debug", 0),
        ("build IMAGE --debug --output FOLDER/image.tar", 0),
        ("verify --registry REGISTRY ACCESS --debug --json", 0),
        ("shell --build-secret npm=env:NPM_TOKEN --debug -- env", 0),
        ("shell --build-secret npm=env:NPM_TOKEN --debug -- false", 3),
        ("config --debug --json", 0),
        ("doctor --debug --json", None),
        ("registry status --debug", 0),
        ("github outputs --debug --report FOLDER/build-report.json", 0),
        ("github summary --debug --report FOLDER/build-report.json", 0),
        ("github issue --debug --environment staging --report FOLDER/build-report.json --dry-run", 0),
        ("github issue --debug --environment staging --report FOLDER/build-report.json", 5),
        ("session", 0),
        ("build-and-push IMAGE ACCESS --debug --build-arg CHANGED=1", 6),
        ("build-and-push IMAGE ACCESS --debug --target missing --name other", 3),
        ("build-and-push --registry localhost:9 ACCESS --debug", 5),
        ("build-and-push --registry REGISTRY --username nobody --token env:NPM_TOKEN --debug", 4),
        ("build-and-push --registry REGISTRY --token env:GITHUB_TOKEN --debug --json", 4),
        ("plan --debug --ref refs/pull/1/merge", 2),
    ],
)
def test_no_token_is_seen_by_anybody_else(canary: Canary, line: str, code: int | None) -> None:
    assert_unseen(canary, line, code)


def test_what_children_are_started_with_is_seen(canary: Canary) -> None:
    _, children = canary.run("plan --debug")
    assert "'git', " in children
    assert "'PATH': " in children
    assert "setpriv" in canary.run("build IMAGE")[1]
