from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.rules.exit_codes import ExitCode
from pipeline.rules.report import BuildReport
from tests.ci.cli.command import Ended, lr_ci
from tests.ci.github.conftest import TOKEN
from tests.ci.github.samples import branch_report, version_report
from tests.github_api import REPOSITORY, GitHubApi
from tests.github_faults import Fault
from tests.pipeline.samples import DIGEST, OTHER_SHA, SHA
from tests.preforked import LR_CI

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the report of the last run."""
    _write(tmp_path, version_report())
    return tmp_path


@pytest.fixture
def job(api: GitHubApi) -> dict[str, str]:
    """The variables of a job."""
    return {
        "GITHUB_API_URL": api.url,
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_REF": "refs/tags/v1.2.3",
        "GITHUB_SHA": SHA,
        "GITHUB_ACTOR": "octocat",
        "GITHUB_RUN_ID": "7",
    }


def _write(folder: Path, report: BuildReport) -> None:
    (folder / "build-report.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")


def _issue(folder: Path, job: dict[str, str] | None = None, *arguments: str) -> Ended:
    return lr_ci(folder, "github", "issue", "--environment", "production", *arguments, env=job)


def test_outputs_are_appended_to_the_file_of_the_step(folder: Path) -> None:
    file = folder / "output"
    file.write_text("before=1\n", encoding="utf-8")
    done = lr_ci(folder, "github", "outputs", "--report", "build-report.json", env={"GITHUB_OUTPUT": str(file)})
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    lines = file.read_text(encoding="utf-8").split("\n")
    assert lines[0] == "before=1"
    assert [line.partition("<<")[0] for line in lines if "<<" in line] == [
        "digest",
        "image_url",
        "tags",
        "version",
        "report",
    ]
    assert DIGEST in lines


def test_the_summary_is_appended_to_that_of_the_step(folder: Path) -> None:
    file = folder / "summary"
    for _ in range(2):
        done = lr_ci(folder, "github", "summary", env={"GITHUB_STEP_SUMMARY": str(file)})
        assert (done.exit_code, done.stdout) == (0, "")
    assert file.read_text(encoding="utf-8").count("## Image promoted without a new build") == 2


def test_a_failed_run_has_the_summary_of_its_log(folder: Path) -> None:
    file = folder / "summary"
    (folder / "log").write_text("building …\nerror: No space left on device.\n", encoding="utf-8")
    done = lr_ci(folder, "github", "summary", "--log", "log", env={"GITHUB_STEP_SUMMARY": str(file)})
    assert done.exit_code == 0
    assert "**What failed:** No space left on device" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["outputs", "summary"])
def test_a_laptop_prints_what_a_job_would_write(folder: Path, command: str) -> None:
    done = lr_ci(folder, "github", command)
    assert done.exit_code == 0
    assert DIGEST in done.stdout
    assert "is not set, so this is not a GitHub Actions job" in done.stderr


def test_a_dry_run_in_a_job_writes_nothing(folder: Path) -> None:
    file = folder / "summary"
    done = lr_ci(folder, "github", "summary", "--dry-run", env={"GITHUB_STEP_SUMMARY": str(file)})
    assert done.exit_code == 0
    assert "## Image" in done.stdout
    assert not file.exists()


def test_a_dry_run_of_an_issue_needs_nothing_but_the_last_report(folder: Path) -> None:
    done = _issue(folder, None, "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "Title: Deploy v1.2.3 to production\nLabels: deployment, production\n\n<!-- deployment"
    )
    assert "| **Actor** | not in Actions |" in done.stdout
    preview = json.loads(_issue(folder, None, "--dry-run", "--json").stdout)
    assert preview["labels"] == ["deployment", "production"]


def test_a_dry_run_asks_nobody(folder: Path, api: GitHubApi, job: dict[str, str]) -> None:
    assert "| **Actor** | octocat (push of a tag) |" in _issue(folder, job, "--dry-run").stdout
    assert api.state.requests == []


def test_the_answer_is_the_issues_address(folder: Path, api: GitHubApi, job: dict[str, str]) -> None:
    done = _issue(folder, job)
    assert done.exit_code == 0
    assert done.stdout == f"{api.url}/{REPOSITORY}/issues/1\n"
    assert done.stderr == "Opened #1: Deploy v1.2.3 to production\n"
    again = json.loads(_issue(folder, job, "--json").stdout)
    assert (again["number"], again["outcome"]) == (1, "updated")
    assert len(api.state.issues) == 1


def test_the_report_may_come_through_a_variable_and_standard_input(folder: Path, job: dict[str, str]) -> None:
    _write(folder, branch_report(message="`@team` | <!-- 'quoted' \"$(id)\" " + "x" * 65_536))
    file = folder / "output"
    assert lr_ci(folder, "github", "outputs", env={"GITHUB_OUTPUT": str(file)}).exit_code == 0
    report = next(line for line in file.read_text(encoding="utf-8").split("\n") if line.startswith("{"))
    assert len(report) <= 48 * 1024
    done = subprocess.run(
        ["bash", "-c", 'printf "%s" "$REPORT" | "$0" github issue --environment staging --report -', LR_CI],
        cwd=folder,
        env={**job, "REPORT": report, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("/issues/1\n")


def test_a_report_of_another_commit_is_mentioned(folder: Path, job: dict[str, str]) -> None:
    done = _issue(folder, {**job, "GITHUB_SHA": OTHER_SHA}, "--dry-run")
    assert done.exit_code == 0
    assert done.stderr == "The report is for commit 9c68c4a, but this run is for commit 0123456.\n"


def test_an_api_that_is_down_ends_with_its_own_code_and_a_rerun_opens_the_issue_once(
    folder: Path, api: GitHubApi, job: dict[str, str]
) -> None:
    api.fail(Fault.FORBIDDEN, "POST", "/issues")
    refused = _issue(folder, job)
    assert refused.exit_code == ExitCode.AUTH
    assert refused.complaint[0].startswith("error: The token has no permission to write issues")
    down = _issue(folder, {**job, "GITHUB_API_URL": "http://127.0.0.1:9"})
    assert down.exit_code == ExitCode.NETWORK
    assert f"The image is published ({DIGEST}): run this job again to open the issue." in down.complaint[1]
    assert [_issue(folder, job).exit_code for _ in range(2)] == [0, 0]
    assert len(api.state.issues) == 1


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.DROP, Fault.PORTAL])
def test_no_secret_shows_even_with_debug(folder: Path, api: GitHubApi, job: dict[str, str], fault: Fault) -> None:
    api.fail(fault, "GET", "/issues", -1)
    done = _issue(folder, job, "--debug")
    assert done.exit_code in {ExitCode.AUTH, ExitCode.NETWORK}
    assert "Traceback" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["issue"], "--environment"),
        (["issue", "--environment", "moon"], "moon"),
        (["summary", "--report", "a", "--log", "b"], "cannot be used together"),
        (["outputs", "--report", "missing.json"], "Cannot read the report"),
        (["summary", "--report", "missing.json"], "Cannot read the report"),
        (["issue", "--environment", "staging", "--report", "missing.json"], "Cannot read the report"),
    ],
)
def test_invalid_arguments_are_reported(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = lr_ci(tmp_path, "github", *arguments)
    assert done.exit_code == ExitCode.USAGE
    assert says in done.stderr
    assert done.stdout == ""


@contextmanager
def _program(*arguments: str) -> Iterator[str]:
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.github_api", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    try:
        yield started.stdout.readline().strip()
    finally:
        started.terminate()
        started.wait()
        started.stdout.close()


def test_the_server_runs_as_a_program_and_keeps_its_state(folder: Path, job: dict[str, str]) -> None:
    state = folder / "state.json"
    with _program("--state", str(state), "--fault", "bad-gateway GET /issues") as url:
        assert _issue(folder, {**job, "GITHUB_API_URL": url}).exit_code == 0
    with _program("--state", str(state)) as url:
        assert _issue(folder, {**job, "GITHUB_API_URL": url}).exit_code == 0
    kept = json.loads(state.read_text(encoding="utf-8"))
    assert [issue["number"] for issue in kept["issues"]] == [1]
    assert TOKEN not in state.read_text(encoding="utf-8")
