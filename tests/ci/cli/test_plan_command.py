from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from pipeline.rules.report import PlanReport
from tests.ci.cli.command import InProcess, environment, lr_ci
from tests.ci.repositories import Repository
from tests.preforked import LR_CI

SHA = "9c68c4a0b1d2e3f405162738495a6b7c8d9e0f1a"
ACME = ("--owner", "acme", "--name", "links")
RELEASE = ("--ref", "refs/tags/v1.2.3", "--sha", SHA)
CONDITION = "latest moves only if no release higher than v1.2.3 is published.\n"
PUBLISHABLE = "Only refs/heads/<branch> and refs/tags/vX.Y.Z"


class TestOutsideAGitRepository:
    """The ref and the commit say it all, so a job needs no checkout to know its tags."""

    def test_json_has_the_image_and_its_tags_in_the_order_of_writing(self, tmp_path: Path) -> None:
        run = lr_ci(tmp_path, "plan", "--owner", "LinkRadar", "--name", "lr-backend", *RELEASE, "--json")
        assert (run.exit_code, run.stderr) == (0, CONDITION)
        plan = json.loads(run.stdout)
        assert plan["image"] == "ghcr.io/linkradar/lr-backend"
        assert plan["primary"] == "sha-9c68c4a"
        assert plan["tags"] == ["sha-9c68c4a", "v1.2.3", "latest"]
        assert plan["references"] == [f"ghcr.io/linkradar/lr-backend:{tag}" for tag in plan["tags"]]
        assert (plan["ref"], plan["version"], plan["commit"]["sha"]) == ("refs/tags/v1.2.3", "v1.2.3", SHA)
        PlanReport.model_validate_json(run.stdout, strict=True, extra="forbid")

    def test_a_person_sees_one_reference_a_line(self, tmp_path: Path) -> None:
        run = lr_ci(tmp_path, "plan", "--registry", "localhost:5001", "--owner", "acme", "--name", "links", *RELEASE)
        image = "localhost:5001/acme/links"
        assert run.stdout == f"{image}:sha-9c68c4a\n{image}:v1.2.3\n{image}:latest\n"

    @pytest.mark.parametrize(
        ("flags", "image", "refusal"),
        [
            ((), "image", "The name of the image is not known: the repository has no remote `origin`."),
            (("--name", "links"), "links", "The owner of links on ghcr.io is not known."),
        ],
    )
    def test_an_unknown_name_is_reported_beside_the_answer(
        self, tmp_path: Path, flags: tuple[str, ...], image: str, refusal: str
    ) -> None:
        run = lr_ci(tmp_path, "plan", *RELEASE, *flags)
        assert run.exit_code == 0
        assert run.stdout.splitlines()[0] == f"ghcr.io/{image}:sha-9c68c4a"
        assert run.stderr == f"Publishing would be refused: {refusal}\n{CONDITION}"

    def test_the_environment_stands_in_for_options(self, tmp_path: Path) -> None:
        env = {"LR_CI_REGISTRY": "registry.example.org", "LR_CI_OWNER": "acme", "LR_CI_NAME": "links"}
        run = lr_ci(tmp_path, "plan", *RELEASE, "--name", "other", env=env)
        assert run.stdout.splitlines()[0] == "registry.example.org/acme/other:sha-9c68c4a"

    def test_empty_variables_are_as_none(self, tmp_path: Path) -> None:
        env = {"LR_CI_REGISTRY": "", "LR_CI_OWNER": "", "LR_CI_NAME": "", "LR_CI_DEBUG": ""}
        run = lr_ci(tmp_path, "plan", *RELEASE, env=env)
        assert run.stdout.splitlines()[0] == "ghcr.io/image:sha-9c68c4a"

    @pytest.mark.parametrize("policy", ["never", "NEVER"])
    def test_latest_may_be_left_alone(self, tmp_path: Path, policy: str) -> None:
        run = lr_ci(tmp_path, "plan", *RELEASE, "--latest", policy, "--json")
        assert json.loads(run.stdout)["tags"] == ["sha-9c68c4a", "v1.2.3"]

    def test_git_is_not_needed(self, tmp_path: Path) -> None:
        run = lr_ci(tmp_path, "plan", *ACME, *RELEASE, env={"PATH": str(tmp_path)})
        assert (run.exit_code, run.stderr) == (0, CONDITION)

    def test_nothing_is_written(self, tmp_path: Path) -> None:
        lr_ci(tmp_path, "plan", *RELEASE)
        assert list(tmp_path.iterdir()) == []


class TestInAGitRepository:
    def test_what_is_checked_out_is_planned(self, repository: Repository) -> None:
        repository.git("remote", "add", "origin", "git@github.com:Acme/links.git")
        repository.write("backend/größe")
        repository.write("elsewhere")
        run = lr_ci(repository.top / "backend", "plan", "--json")
        plan = json.loads(run.stdout)
        assert plan["image"] == "ghcr.io/acme/links"
        assert plan["tags"] == [f"sha-{repository.head[:7]}", "master"]
        assert plan["commit"]["message"] == "Save links"
        assert plan["commit"]["time"] == "2025-11-03T13:30:05Z"
        assert plan["commit"]["url"] == f"https://github.com/Acme/links/commit/{repository.head}"
        assert plan["dirty"] == ["backend/größe"]

    def test_what_publishing_refuses_comes_first(self, repository: Repository) -> None:
        repository.write("backend/note")
        head = repository.head[:7]
        run = lr_ci(repository.top, "plan", "--json")
        assert json.loads(run.stdout)["refusals"] == [
            "The name of the image is not known: the repository has no remote `origin`.",
            f"The working tree differs from commit {head}: backend/note.",
        ]
        assert [line.partition(": ")[0] for line in run.stderr.splitlines()[:2]] == ["Publishing would be refused"] * 2

    @pytest.mark.parametrize(
        ("flags", "refusals"),
        [
            (("--source", "frontend"), ["Directory 'frontend' not found in the repository."]),
            (("--source", "docs"), ["Dockerfile 'Dockerfile' not found in directory 'docs'."]),
            (("--dockerfile", "docker/api"), ["Dockerfile 'docker/api' not found in directory 'backend'."]),
            ((), []),
        ],
    )
    def test_a_source_that_is_not_there_is_refused(
        self, repository: Repository, flags: tuple[str, ...], refusals: list[str]
    ) -> None:
        repository.write("docs/page")
        repository.commit()
        run = lr_ci(repository.top, "plan", *ACME, "--json", *flags)
        assert (run.exit_code, json.loads(run.stdout)["refusals"]) == (0, refusals)

    def test_latest_has_its_condition(self, repository: Repository) -> None:
        for policy, condition in {"auto": CONDITION.rstrip(".\n"), "always": None, "never": None}.items():
            release = ("--ref", "refs/tags/v1.2.3", "--latest", policy)
            run = lr_ci(repository.top, "plan", "--owner", "acme", "--json", *release)
            assert json.loads(run.stdout)["latest_condition"] == condition
        assert json.loads(lr_ci(repository.top, "plan", "--json").stdout)["latest_condition"] is None

    def test_a_detached_version_is_planned(self, repository: Repository) -> None:
        repository.git("tag", "v1.0.0-rc.1")
        repository.git("checkout", "--quiet", "v1.0.0-rc.1")
        plan = json.loads(lr_ci(repository.top, "plan", "--json").stdout)
        assert plan["tags"] == [f"sha-{repository.head[:7]}", "v1.0.0-rc.1"]

    def test_a_commit_that_is_not_checked_out_is_reported(self, repository: Repository) -> None:
        run = lr_ci(repository.top, "plan", *ACME, "--sha", SHA)
        assert run.stderr == f"--sha 9c68c4a is not the commit that is checked out ({repository.head[:7]}).\n"

    @pytest.mark.parametrize("message", ["Größe 🚢\n", "\x1b[31mred\x1b[0m [bold]\n", "a\r\nb\u2028c\n", "x" * 65_536])
    def test_a_message_comes_out_of_the_json_as_it_is(self, repository: Repository, message: str) -> None:
        repository.commit(message)
        run = lr_ci(repository.top, "plan", "--json", env={"LC_ALL": "C"})
        assert json.loads(run.stdout)["commit"]["message"] == message

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
    def test_the_answer_is_utf8_whatever_the_terminal_speaks(self, repository: Repository, encoding: str) -> None:
        repository.commit("Größe 🚢\n")
        run = lr_ci(repository.top, "plan", "--json", env={"PYTHONIOENCODING": encoding})
        assert json.loads(run.stdout)["commit"]["message"] == "Größe 🚢\n"


class TestWhatCannotBeMeant:
    """Exit code 2, one or two lines on standard error, and no answer."""

    def test_a_folder_that_is_not_in_a_repository(self, tmp_path: Path) -> None:
        run = lr_ci(tmp_path, "plan")
        assert run.exit_code == 2
        happened, hint = run.complaint
        assert happened.startswith(f"error: {tmp_path} is not in a git repository: ")
        assert hint == "Run this in a clone of the repository to build."

    def test_a_folder_that_is_gone(self, tmp_path: Path) -> None:
        script = f'mkdir gone && cd gone && rmdir ../gone && exec "{LR_CI}" plan'
        done = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[0] == "error: The current directory no longer exists."

    def test_a_repository_without_a_commit(self, empty_repository: Repository) -> None:
        run = lr_ci(empty_repository.top, "plan")
        assert run.exit_code == 2
        assert "has no commit yet" in run.complaint[0]
        assert len(run.complaint) == 2

    def test_a_detached_head_without_a_version(self, repository: Repository) -> None:
        repository.git("checkout", "--quiet", "--detach")
        run = lr_ci(repository.top, "plan")
        assert run.exit_code == 2
        assert "HEAD is detached" in run.complaint[0]
        assert "--ref" in run.complaint[1]

    def test_a_checkout_without_git(self, repository: Repository, tmp_path: Path) -> None:
        run = lr_ci(repository.top, "plan", env={"PATH": str(tmp_path / "nothing")})
        assert (run.exit_code, run.complaint) == (2, ["error: Git is not installed.", "`make setup` installs it."])

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("--ref", "refs/tags/v1.2.3.4"), PUBLISHABLE),
            (("--ref", "refs/tags/vendor.x.y"), PUBLISHABLE),
            (("--ref", "refs/pull/7/merge"), PUBLISHABLE),
            (("--ref", "master"), PUBLISHABLE),
            (("--ref", ""), PUBLISHABLE),
            (("--ref", "refs/heads/new\nline"), PUBLISHABLE),
            (("--ref", os.fsdecode(b"refs/heads/caf\xe9")), "not UTF-8"),
            (("--sha", SHA[:7]), "expected 40 hex digits, got 7 characters"),
            (("--sha", "HEAD"), "40 hex digits"),
            (("--sha", ""), "40 hex digits"),
            (("--name", "LR-Backend"), "lower-case letters"),
            (("--name", "lr backend"), "lower-case letters"),
            (("--name", ""), "lower-case letters"),
            (("--owner", "link radar", "--name", "a"), "lower-case letters"),
            (("--registry", "https://ghcr.io"), "without scheme"),
            (("--registry", "ghcr.io/acme"), "without scheme"),
            (("--registry", "localhost:99999"), "host name with an optional port"),
            (("--registry", ""), "host name with an optional port"),
            (("--latest", "sometimes"), "not one of 'auto', 'always', 'never'"),
            (("--unknown",), "No such option: --unknown"),
            (("--unknown\n\x1b[31m",), "No such option"),
            (("--ref",), "requires an argument"),
            (("unexpected",), "unexpected extra argument"),
            (("--allow-dirty",), "No such option: --allow-dirty"),
        ],
    )
    def test_an_argument(self, in_process: InProcess, arguments: tuple[str, ...], says: str) -> None:
        run = in_process("plan", *RELEASE, *arguments)
        assert run.exit_code == 2
        assert len(run.complaint) in {1, 2}
        assert run.stderr.startswith("error: ")
        assert says in run.stderr
        assert "\x1b" not in run.stderr
        assert "Traceback" not in run.stderr

    def test_a_command_that_there_is_not(self, tmp_path: Path) -> None:
        run = lr_ci(tmp_path, "publish")
        assert (run.exit_code, run.complaint) == (2, ["error: No such command 'publish'.", "Try `lr-ci --help`."])


def test_an_answer_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [LR_CI, "plan", *ACME, *RELEASE],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert (
        done.stderr
        == f"{CONDITION}error: The answer could not be written to standard output: No space left on device.\n"
    )


def test_an_answer_to_a_closed_pipe_is_a_failure_but_not_a_bug(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [LR_CI, "plan", *ACME, *RELEASE],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == f"{CONDITION}error: The answer could not be written to standard output: Broken pipe.\n"


def test_debug_shows_the_traceback_on_standard_error(tmp_path: Path) -> None:
    run = lr_ci(tmp_path, "plan", "--debug")
    assert (run.exit_code, run.stdout) == (2, "")
    assert run.stderr.startswith("Traceback (most recent call last):\n")
    assert run.stderr.splitlines()[-2].startswith("error: ")
