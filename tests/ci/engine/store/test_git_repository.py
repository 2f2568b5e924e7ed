from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.engine.errors import GitError
from ci.engine.store.git_repository import GitRefInfo, LocalRepository, Uncommitted, _unquote
from ci.engine.store.git_tree import CommitTree
from ci.engine.store.snapshots import SnapshotStore

Git = Callable[..., str]

ODD_NAMES = [b"with space", b'"quoted"', b"line\nbreak", b"tab\t", b"caf\xc3\xa9", b"latin\xe9", b"back\\slash", b"-n"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Run git as a made-up person, in `repository` unless another folder is named."""
    env = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    }

    def run(*arguments: str | Path | bytes, at: Path = tmp_path / "repository") -> str:
        done = subprocess.run(["git", *arguments], cwd=at, env=env, check=True, capture_output=True)
        return done.stdout.decode(errors="replace").strip()

    return run


@pytest.fixture
def path(tmp_path: Path, git: Git) -> Path:
    """A repository of two commits: a file that runs, a link, a folder, and a file that is ignored."""
    root = tmp_path / "repository"
    (root / "app").mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main")
    (root / "README.md").write_text("read me")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    (root / "app/run").write_text("run")
    (root / "app/run").chmod(0o755)
    (root / "app/link").symlink_to("run")
    (root / ".gitignore").write_text("*.log\n")
    (root / "today.log").write_text("log")
    git("add", ".")
    git("commit", "--quiet", "--message=second")
    return root


@pytest.fixture
def repository(path: Path) -> LocalRepository:
    return LocalRepository(path)


async def check_out(
    repository: LocalRepository, commit: str, target: Path, ref: str = "", depth: int = 1, *, discard: bool = False
) -> None:
    target.mkdir()
    await repository.check_out(CommitTree(commit, ref, depth, discard), target)


async def test_head_names_its_branch(repository: LocalRepository, git: Git) -> None:
    commit = git("rev-parse", "HEAD")
    assert await repository.head() == GitRefInfo(commit, "refs/heads/main")


async def test_a_detached_head_has_no_name(repository: LocalRepository, git: Git) -> None:
    git("checkout", "--quiet", "--detach", "HEAD^")
    assert await repository.head() == GitRefInfo(git("rev-parse", "HEAD"), "HEAD")


async def test_tags_are_found_by_full_and_short_names(repository: LocalRepository, git: Git) -> None:
    old = git("rev-parse", "HEAD^")
    git("tag", "v1.0.0", "HEAD^")
    git("tag", "both", "HEAD^")
    git("branch", "both")
    for name in ("v1.0.0", "refs/tags/v1.0.0"):
        assert await repository.tag(name) == GitRefInfo(old, "refs/tags/v1.0.0")
    assert await repository.tag("both") == GitRefInfo(old, "refs/tags/both")
    assert await repository.tags() == ["both", "v1.0.0"]


async def test_annotated_tags_are_peeled(repository: LocalRepository, git: Git) -> None:
    git("tag", "--annotate", "--message=one", "v1")
    git("tag", "--annotate", "--message=two", "v2", "v1")
    commit = git("rev-parse", "HEAD")
    assert [(await repository.tag(name)).commit for name in ("v1", "v2")] == [commit, commit]


async def test_a_tag_of_a_file_is_not_a_commit(repository: LocalRepository, git: Git) -> None:
    git("tag", "blob", "HEAD:README.md")
    git("tag", "--annotate", "--message=blob", "told", "HEAD:README.md")
    for name in ("blob", "told"):
        with pytest.raises(GitError, match=f"refs/tags/{name}"):
            await repository.tag(name)


@pytest.mark.parametrize("name", ["missing", "HEAD^", "--all", "main", "refs/heads/main", "a..b", "", "main\n", "*"])
async def test_a_tag_that_is_not_there_is_named(repository: LocalRepository, name: str) -> None:
    with pytest.raises(GitError) as raised:
        await repository.tag(name)
    assert repr(name) in str(raised.value)


async def test_a_clean_tree_is_empty(repository: LocalRepository) -> None:
    assert (await repository.uncommitted()).is_empty


async def test_every_kind_of_change_is_seen(repository: LocalRepository, path: Path, git: Git) -> None:
    for name in ("staged", "mode", "type", "gone", "renamed", "unstaged", "reverted", "kept"):
        (path / name).write_text(f"{name} of some length")
    git("add", ".")
    git("commit", "--quiet", "--message=third")
    (path / "staged").write_text("staged!")
    git("add", "staged")
    (path / "mode").chmod(0o755)
    (path / "type").unlink()
    (path / "type").symlink_to("mode")
    (path / "gone").unlink()
    git("mv", "renamed", "moved")
    git("rm", "--quiet", "--cached", "unstaged")  # still there, and the same
    (path / "reverted").write_text("other")
    git("add", "reverted")
    (path / "reverted").write_text("reverted of some length")
    (path / "new").mkdir()
    (path / "new/untracked").write_text("")
    (path / "new/ignored.log").write_text("")
    (path / "intended").write_text("")
    git("add", "--intent-to-add", "intended")
    os.utime(path / "kept")
    assert await repository.uncommitted() == Uncommitted(
        modified=("mode", "staged", "type"),
        added=("intended", "moved", "new/untracked"),
        removed=("gone", "renamed"),
    )


def state(root: Path) -> dict[Path, tuple[int, bytes]]:
    return {each: (each.lstat().st_mtime_ns, each.read_bytes() if each.is_file() else b"") for each in root.rglob("*")}


async def test_looking_writes_nothing(repository: LocalRepository, path: Path, git: Git) -> None:
    (path / "README.md").write_text("other")
    git("add", "README.md")
    os.utime(path / "app/run")
    before = state(path)
    await repository.uncommitted()
    await repository.head()
    assert state(path) == before


async def test_odd_names_come_whole(repository: LocalRepository, path: Path, git: Git) -> None:
    names = sorted(ODD_NAMES)
    for name in names:
        (path / os.fsdecode(name)).write_text("x")
    assert [os.fsencode(name) for name in (await repository.uncommitted()).added] == names
    git("add", ".")
    git("commit", "--quiet", "--message=odd")
    assert (await repository.uncommitted()).is_empty
    for name in names:
        (path / os.fsdecode(name)).unlink()
    assert [os.fsencode(name) for name in (await repository.uncommitted()).removed] == names


@given(st.binary(min_size=1, max_size=12))
def test_quoted_paths_are_read_as_git_writes_them(name: bytes) -> None:
    named = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
    written = "".join(
        f"\\{named[byte]}" if byte in named else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in name
    )
    assert os.fsencode(_unquote(f'"{written}"')) == name


async def test_a_tree_is_checked_out_without_a_trace(
    repository: LocalRepository, path: Path, git: Git, tmp_path: Path
) -> None:
    (path / "README.md").write_text("dirty")
    commit = git("rev-parse", "HEAD")
    before = os.umask(0o077)
    try:
        await check_out(repository, commit, tmp_path / "tree", discard=True)
    finally:
        os.umask(before)
    tree = tmp_path / "tree"
    assert sorted(each.name for each in tree.iterdir()) == [".gitignore", "README.md", "app"]
    assert (tree / "README.md").read_text() == "read me"
    assert (tree / "app/link").readlink() == Path("run")
    modes = [(tree / each).stat().st_mode & 0o777 for each in ("app", "app/run", "README.md")]
    assert modes == [0o755, 0o755, 0o644]


async def test_a_kept_git_folder_has_the_commit(repository: LocalRepository, git: Git, tmp_path: Path) -> None:
    commit = git("rev-parse", "HEAD")
    git("tag", "--annotate", "--message=v1", "v1")
    for depth, commits in ((1, "1"), (0, "2"), (2, "2")):
        target = tmp_path / f"tree-{depth}"
        await check_out(repository, commit, target, depth=depth)
        assert git("rev-parse", "HEAD", at=target) == commit
        assert git("cat-file", "-t", commit, at=target) == "commit"
        assert git("rev-list", "--count", "HEAD", at=target) == commits
        assert git("tag", at=target) == ""
        assert git("status", "--porcelain", at=target) == ""
        assert await LocalRepository(target).head() == GitRefInfo(commit, "HEAD")


async def test_a_tree_of_a_branch_or_tag_has_it(repository: LocalRepository, git: Git, tmp_path: Path) -> None:
    git("tag", "v1", "HEAD^")
    old, new = git("rev-parse", "HEAD^"), git("rev-parse", "HEAD")
    await check_out(repository, new, tmp_path / "branch", ref="refs/heads/main")
    assert await LocalRepository(tmp_path / "branch").head() == GitRefInfo(new, "refs/heads/main")
    await check_out(repository, old, tmp_path / "tag", ref="refs/tags/v1")
    assert await LocalRepository(tmp_path / "tag").head() == GitRefInfo(old, "HEAD")
    assert await LocalRepository(tmp_path / "tag").tags() == ["v1"]


async def test_a_tree_has_one_digest_over_every_kind_of_checkout(
    repository: LocalRepository, path: Path, git: Git, tmp_path: Path
) -> None:
    commit = git("rev-parse", "HEAD")
    git("worktree", "add", "--quiet", "--detach", tmp_path / "worktree")
    git("clone", "--quiet", "--depth=1", f"file://{path}", tmp_path / "shallow", at=tmp_path)
    git("clone", "--quiet", "--bare", path, tmp_path / "bare.git", at=tmp_path)
    store = SnapshotStore(tmp_path / "store")
    digests = set()
    for number, each in enumerate(
        [
            repository,
            LocalRepository(tmp_path / "worktree"),
            LocalRepository(tmp_path / "shallow"),
            LocalRepository(tmp_path / "bare.git"),
        ]
    ):
        assert (await each.head()).commit == commit
        assert (await each.uncommitted()).is_empty
        for kept in (False, True):
            target = tmp_path / f"tree-{number}-{kept}"
            await check_out(each, commit, target, discard=not kept)
            digests.add((await store.capture(target, exclude=[".git"])).digest)
    assert len(digests) == 1


async def test_a_worktree_is_one_of_its_own(repository: LocalRepository, git: Git, tmp_path: Path) -> None:
    git("worktree", "add", "--quiet", "-b", "side", tmp_path / "worktree", "HEAD^")
    side = LocalRepository(tmp_path / "worktree")
    assert await side.head() == GitRefInfo(git("rev-parse", "HEAD^"), "refs/heads/side")
    (tmp_path / "worktree/README.md").write_text("other")
    assert (await side.uncommitted()).modified == ("README.md",)
    assert (await repository.uncommitted()).is_empty


async def test_a_shallow_clone_lacks_what_it_lacks(path: Path, git: Git, tmp_path: Path) -> None:
    git("clone", "--quiet", "--depth=1", f"file://{path}", tmp_path / "shallow", at=tmp_path)
    shallow = LocalRepository(tmp_path / "shallow")
    old = git("rev-parse", "HEAD^")
    with pytest.raises(GitError, match=old):
        await check_out(shallow, old, tmp_path / "tree")
    commit = (await shallow.head()).commit
    await check_out(shallow, commit, tmp_path / "full", depth=0)
    assert git("rev-list", "--count", "HEAD", at=tmp_path / "full") == "1"


async def test_a_repository_without_a_commit_says_so(tmp_path: Path, git: Git) -> None:
    (tmp_path / "repository").mkdir()
    git("init", "--quiet", "--initial-branch=main")
    empty = LocalRepository(tmp_path / "repository")
    for call in (empty.head, empty.uncommitted):
        with pytest.raises(GitError, match="refs/heads/main does not exist yet"):
            await call()
    assert await empty.tags() == []


async def test_a_folder_without_a_repository_says_so(path: Path, tmp_path: Path) -> None:
    for folder in (path / "app", tmp_path, tmp_path / "missing"):
        with pytest.raises(GitError, match=str(folder)):
            LocalRepository(folder)


async def test_a_broken_repository_says_so(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere")
    with pytest.raises(GitError, match="not a git repository"):
        await LocalRepository(tmp_path).tags()
    with pytest.raises(GitError, match="not a git repository"):
        await LocalRepository(tmp_path).head()


async def test_submodules_are_refused(repository: LocalRepository, path: Path, git: Git, tmp_path: Path) -> None:
    (path / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = ../x\n')
    git("add", ".")
    git("commit", "--quiet", "--message=submodule")
    with pytest.raises(GitError, match="submodules"):
        await check_out(repository, git("rev-parse", "HEAD"), tmp_path / "tree")


async def test_the_configuration_of_others_has_no_effect(
    repository: LocalRepository, path: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/ignore").write_text("*.txt\n")
    (home / ".gitconfig").write_text("[core]\n\tautocrlf = true\n[status]\n\tshowUntrackedFiles = no\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    spy.chmod(0o755)
    git("config", "core.fsmonitor", spy)
    git("config", "status.showUntrackedFiles", "no")
    (path / "x.txt").write_text("x")
    assert (await repository.uncommitted()).added == ("x.txt",)
    await check_out(repository, git("rev-parse", "HEAD"), tmp_path / "tree")
    assert (tmp_path / "tree/README.md").read_bytes() == b"read me"
    assert not (tmp_path / "ran").exists()


def give_away(path: Path, to: Path) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, 12345, 12345, follow_symlinks=False)
    path.rename(to)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_the_owner_of_the_repository_does_not_matter(path: Path, git: Git, tmp_path: Path) -> None:
    commit = git("rev-parse", "HEAD")
    odd = tmp_path / 'of "another" owner%20'
    give_away(path, odd)
    repository = LocalRepository(odd)
    assert (await repository.uncommitted()).is_empty
    await check_out(repository, commit, tmp_path / "tree")
    assert (tmp_path / "tree/README.md").exists()
