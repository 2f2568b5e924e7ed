from __future__ import annotations

import subprocess
from pathlib import Path

import dagger
import pytest

_AUTHOR = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *_AUTHOR, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(folder: Path) -> Path:
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "file.txt").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    git(folder, "tag", "--annotate", "v1.0.0", "--message=release")
    return folder


async def test_head_and_tags_are_read(dag: dagger.Client, checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://example.com/owner/name.git")
    commit = git(checkout, "rev-parse", "HEAD")

    repository = dag.host().directory(str(checkout)).as_git()

    assert await repository.head().commit() == commit
    assert await repository.head().ref() == "refs/heads/main"
    assert await repository.tags() == ["v1.0.0"]
    assert await repository.tag("v1.0.0").commit() == commit


async def test_a_detached_head_is_called_so(dag: dagger.Client, checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "--detach")

    assert await dag.host().directory(str(checkout)).as_git().head().ref() == "HEAD"


async def test_uncommitted_changes_are_reported(dag: dagger.Client, checkout: Path) -> None:
    clean = dag.host().directory(str(checkout)).as_git().uncommitted()
    assert await clean.is_empty()

    (checkout / "file.txt").write_text("two\n")
    (checkout / "new.txt").write_text("")
    changes = dag.host().directory(str(checkout), no_cache=True).as_git().uncommitted()

    assert not await changes.is_empty()
    assert await changes.modified_paths() == ["file.txt"]
    assert await changes.added_paths() == ["new.txt"]
    assert await changes.removed_paths() == []


async def test_the_committed_tree_does_not_change_with_edits(dag: dagger.Client, checkout: Path) -> None:
    before = dag.host().directory(str(checkout)).as_git().head().tree(discard_git_dir=True)
    assert await before.entries() == ["file.txt"]

    (checkout / "file.txt").write_text("edited\n")
    after = dag.host().directory(str(checkout), no_cache=True).as_git().head().tree(discard_git_dir=True)

    assert await after.file("file.txt").contents() == "one\n"
    assert await after.digest() == await before.digest()


async def test_the_common_ancestor_of_two_commits_is_found(dag: dagger.Client, checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=second")
    second = git(checkout, "rev-parse", "HEAD")
    git(checkout, "checkout", "--quiet", "--orphan", "other")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=unrelated")
    unrelated = git(checkout, "rev-parse", "HEAD")

    repository = dag.host().directory(str(checkout)).as_git()

    assert await repository.commit(first).common_ancestor(repository.commit(second)).commit() == first
    assert await repository.commit(second).common_ancestor(repository.commit(first)).commit() == first
    for one in (unrelated, "0" * 39 + "1"):
        with pytest.raises(dagger.QueryError, match="git merge-base failed"):
            await repository.commit(one).common_ancestor(repository.commit(first)).commit()
