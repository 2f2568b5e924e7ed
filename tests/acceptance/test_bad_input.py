"""What cannot be done says so in one or two lines, with its own exit code; nothing is built, nothing is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.command import Command, Ended
from tests.acceptance.published import Image, writes
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import USER, RunningRegistry, free_port

COMMIT = "4f0aac1ccabb444bbd3260bdf5d16d09afe4c20f"
ALIKE = "4f0aac1d00000000000000000000000000000000"


def refused(run: Ended, exit_code: int, *, most_lines: int = 2) -> str:
    """Return what a run said, once it is sure that it ended with this exit code and a short message."""
    assert run.exit_code == exit_code, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert run.error
    assert len(run.error.splitlines()) <= most_lines
    return run.error


def push(lr_ci: Command, folder: Path, registry: RunningRegistry, *more: str) -> Ended:
    return lr_ci.run(folder, "build-and-push", "--registry", registry.host, *more)


def assert_untouched(lr_ci: Command, registry: RunningRegistry) -> None:
    """Nothing was built, nothing was written."""
    assert not lr_ci.engine_folder.exists()
    assert writes(registry.requests()) == []


def test_a_folder_outside_git(own_lr_ci: Command, tmp_path: Path, registry: RunningRegistry) -> None:
    (tmp_path / "plain" / "backend").mkdir(parents=True)
    (tmp_path / "plain" / "backend" / "Dockerfile").write_text("FROM scratch\n")

    error = refused(push(own_lr_ci, tmp_path / "plain", registry), 2)

    assert f"{tmp_path}/plain is not in a git repository" in error
    assert_untouched(own_lr_ci, registry)


def test_a_repository_without_a_commit(own_lr_ci: Command, tmp_path: Path, registry: RunningRegistry) -> None:
    workspace = Workspace.create(tmp_path / "new")
    workspace.write("backend/Dockerfile", "FROM scratch\n")

    error = refused(push(own_lr_ci, workspace.folder, registry), 2)

    assert "has no commit yet" in error
    assert_untouched(own_lr_ci, registry)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--ref", "refs/tags/v1.2.3.4"), "The tag 'v1.2.3.4' is not a version"),
        (("--ref", "refs/pull/7/merge"), "The ref 'refs/pull/7/merge' cannot be published"),
        (("--sha", COMMIT[:12]), "expected 40 hex digits, got 12 characters"),
        (("--name", "LR-Backend"), "Invalid image name 'LinkRadar/LR-Backend'"),
        (("--name", "lr backend"), "Invalid image name 'LinkRadar/lr backend'"),
        (("--owner", "link radar"), "Invalid image name 'link radar/lr-backend'"),
        (("--source", "frontend"), "Directory 'frontend' not found in the repository"),
        (("--source", "../small/backend"), "Invalid source '../small/backend': the path leads out of the repository"),
        (("--source", ""), "Invalid source ''"),
        (("--dockerfile", "Dockerfile.other"), "Dockerfile 'Dockerfile.other' not found in"),
        (("--token", "ghp_0123456789"), "--token: Invalid secret source"),
        (("--token", "env:NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_invalid_flags(
    own_lr_ci: Command, small: Workspace, registry: RunningRegistry, flags: tuple[str, ...], says: str
) -> None:
    error = refused(push(own_lr_ci, small.folder, registry, *flags), 2)

    assert says in error
    assert "ghp_0123456789" not in error
    assert_untouched(own_lr_ci, registry)


def test_a_dirty_tree(own_lr_ci: Command, small: Workspace, registry: RunningRegistry) -> None:
    small.write("backend/notes.txt", "not committed\n")

    error = refused(push(own_lr_ci, small.folder, registry), 6)

    assert f"The working tree differs from commit {small.short}: backend/notes.txt." in error
    assert_untouched(own_lr_ci, registry)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_to_overlook(
    own_lr_ci: Command, small: Workspace, registry: RunningRegistry, flag: str
) -> None:
    small.git("update-index", flag, "backend/Dockerfile")
    small.append("backend/Dockerfile", "RUN touch /smuggled\n")

    error = refused(push(own_lr_ci, small.folder, registry), 6)

    assert f"The working tree differs from commit {small.short}: backend/Dockerfile." in error
    assert_untouched(own_lr_ci, registry)


def test_a_submodule_that_is_not_checked_out(
    own_lr_ci: Command, small: Workspace, registry: RunningRegistry, tmp_path: Path
) -> None:
    library = Workspace.with_dockerfile(tmp_path / "library", "FROM scratch\n")
    add = ("submodule", "--quiet", "add", str(library.folder), "backend/library")
    small.git("-c", "protocol.file.allow=always", *add)
    small.commit("Use the library")
    small.git("submodule", "--quiet", "deinit", "--force", "backend/library")

    error = refused(push(own_lr_ci, small.folder, registry), 6)

    assert f"The working tree differs from commit {small.short}: backend/library." in error
    assert_untouched(own_lr_ci, registry)


@pytest.mark.parametrize("source", ["current", "links/backend"])
def test_a_source_behind_a_symbolic_link(
    own_lr_ci: Command, small: Workspace, registry: RunningRegistry, source: str
) -> None:
    (small.folder / "current").symlink_to("backend")
    (small.folder / "links").symlink_to(".")
    small.commit("Add links")

    error = refused(push(own_lr_ci, small.folder, registry, "--source", source), 2)

    assert f"Directory '{source}' not found in the repository.\n" in error
    assert "without symbolic links" in error
    assert_untouched(own_lr_ci, registry)


def test_a_detached_head_that_no_version_names(own_lr_ci: Command, small: Workspace, registry: RunningRegistry) -> None:
    small.git("checkout", "--quiet", "--detach")

    error = refused(push(own_lr_ci, small.folder, registry), 2)

    assert f"HEAD is detached at {small.short}" in error
    assert "--ref refs/heads/<branch>" in error
    assert_untouched(own_lr_ci, registry)


def test_a_registry_that_wants_a_token_and_gets_none(
    own_lr_ci: Command, small: Workspace, registry_with_auth: RunningRegistry
) -> None:
    error = refused(push(own_lr_ci, small.folder, registry_with_auth), 4)

    assert f"{registry_with_auth.host} requires credentials" in error
    assert "--token env:NAME" in error
    assert_untouched(own_lr_ci, registry_with_auth)


def test_a_wrong_password(own_lr_ci: Command, small: Workspace, registry_with_auth: RunningRegistry) -> None:
    lr_ci = own_lr_ci.with_variables(REGISTRY_TOKEN="not the password")
    flags = ("--username", USER, "--token", "env:REGISTRY_TOKEN")

    error = refused(push(lr_ci, small.folder, registry_with_auth, *flags), 4)

    assert f"{registry_with_auth.host} refuses these credentials" in error
    assert "not the password" not in error
    assert_untouched(lr_ci, registry_with_auth)


def test_an_archive_where_a_folder_is(own_lr_ci: Command, small: Workspace) -> None:
    error = refused(own_lr_ci.run(small.folder, "build", "--output", small.folder), 2)

    assert f"{small.folder} is a directory" in error
    assert not own_lr_ci.engine_folder.exists()


def test_a_registry_that_is_not_there(own_lr_ci: Command, small: Workspace) -> None:
    host = f"localhost:{free_port()}"

    error = refused(own_lr_ci.run(small.folder, "build-and-push", "--registry", host), 5)

    assert f"{host} could not be reached" in error
    assert not own_lr_ci.engine_folder.exists()


def test_a_dockerfile_that_fails(small_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry) -> None:
    failing = "RUN echo FAILED test_links; sleep 1; echo make: Error 1 >&2; sleep 1; echo 1 failed; exit 23"
    workspace = Workspace.with_dockerfile(tmp_path / "failing", f"FROM {base}\n{failing}\n")

    error = refused(push(small_lr_ci, workspace.folder, registry), 3, most_lines=8)

    assert error.splitlines() == [
        "lr-backend from Dockerfile could not be built:",
        f"`{failing.removeprefix('RUN ')}` exited with 23 (line 2 of Dockerfile):",
        f"  1 | FROM {base}",
        f"> 2 | {failing}",
        "Its output:",
        "  | FAILED test_links",
        "  | make: Error 1",
        "  | 1 failed",
    ]
    assert writes(registry.requests()) == []


@pytest.mark.parametrize(
    "step",
    [
        "RUN <<EOT\necho the reason\nexit 23\nEOT",
        'RUN ["/bin/sh", "-c", "echo the reason; exit 23"]',
        "RUN --mount=type=cache,target=/kept \\\n  echo the reason; \\\n  exit 23",
    ],
)
def test_the_line_of_a_step_that_fails(
    small_lr_ci: Command, base: str, tmp_path: Path, registry: RunningRegistry, step: str
) -> None:
    workspace = Workspace.with_dockerfile(tmp_path / "failing", f"FROM {base}\nWORKDIR /app\n{step}\nUSER 1000\n")

    error = refused(push(small_lr_ci, workspace.folder, registry), 3, most_lines=12)

    assert "exited with 23 (line 3 of Dockerfile):" in error
    assert error.endswith("  | the reason")


def test_an_invalid_dockerfile(small_lr_ci: Command, tmp_path: Path, registry: RunningRegistry) -> None:
    workspace = Workspace.with_dockerfile(tmp_path / "none", "EVERYTHING from:nothing\n")

    error = refused(push(small_lr_ci, workspace.folder, registry), 3)

    assert "lr-backend from Dockerfile could not be built" in error
    assert writes(registry.requests()) == []


def test_two_commits_whose_first_seven_digits_are_alike(
    small_lr_ci: Command, small: Workspace, registry: RunningRegistry
) -> None:
    first = push(small_lr_ci, small.folder, registry, "--sha", COMMIT).succeeded()
    before = registry.requests()

    error = refused(push(small_lr_ci, small.folder, registry, "--sha", ALIKE), 6)

    assert COMMIT in error
    assert ALIKE in error
    assert writes(registry.requests()[len(before) :]) == []
    assert Image(registry).digest("master") == first.stdout.strip()


def test_another_source_of_the_same_commit(small_lr_ci: Command, small: Workspace, registry: RunningRegistry) -> None:
    small.write("cf/Containerfile", "FROM scratch\nLABEL part=cf\n")
    small.write("services/api/Dockerfile", "FROM scratch\nLABEL part=api\n")
    small.commit("Add two images")
    flags = ("--source", "cf", "--dockerfile", "Containerfile")
    first = push(small_lr_ci, small.folder, registry, *flags).succeeded()
    before = registry.requests()

    error = refused(push(small_lr_ci, small.folder, registry, "--source", "services/api"), 6)

    trees = [small.git("rev-parse", f"HEAD:{source}")[:12] for source in ("services/api", "cf")]
    assert ", the image of this commit from other build inputs; requested: " in error
    assert f"source tree {trees[0]} instead of {trees[1]}; Dockerfile 'Dockerfile' instead of 'Containerfile'." in error
    assert "--name" in error
    assert writes(registry.requests()[len(before) :]) == []
    assert push(small_lr_ci, small.folder, registry, *flags).stdout == first.stdout
    push(small_lr_ci, small.folder, registry, "--source", "services/api", "--name", "api").succeeded()


def test_a_commit_that_is_not_checked_out(small_lr_ci: Command, small: Workspace, registry: RunningRegistry) -> None:
    older = small.head
    small.append("backend/Dockerfile", "RUN touch /changed\n")
    newer = small.commit("Change it")

    error = refused(push(small_lr_ci, small.folder, registry, "--sha", older), 6)

    assert f"commit {older[:7]} must be built, but commit {newer[:7]} is checked out" in error
    assert writes(registry.requests()) == []


def test_a_version_that_another_commit_has(small_lr_ci: Command, small: Workspace, registry: RunningRegistry) -> None:
    released = push(small_lr_ci, small.folder, registry, "--ref", "refs/tags/v0.1.1").succeeded()
    before = registry.requests()
    small.append("backend/Dockerfile", "RUN touch /changed\n")
    small.commit("Change it")

    run = push(small_lr_ci, small.folder, registry, "--ref", "refs/tags/v0.1.1")

    assert f"{Image(registry).name}:v0.1.1 already points to {released.stdout.strip()}" in refused(run, 6)
    assert "Engine:" not in run.stderr
    assert writes(registry.requests()[len(before) :]) == []
