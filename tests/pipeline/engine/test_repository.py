from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import dagger
import pytest

from pipeline.engine.git_objects import overlooked_paths, read_commit
from pipeline.engine.repository import WorkspaceHistory, read_checkout
from pipeline.rules.checkout import Checkout, Commit
from pipeline.rules.errors import CheckoutError
from pipeline.rules.refs import CommitSha, parse_commit
from tests.conformance.conftest import base, dag
from tests.pipeline.host_files import HostFiles
from tests.registry_fixtures import shared_registry

__all__ = ["base", "dag", "shared_registry"]

WHEN = 1_762_180_205
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Repository:
    """A git repository of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=master", str(folder))

    @property
    def objects(self) -> Path:
        return self.folder / ".git" / "objects"

    def git(self, *arguments: str, given: bytes = b"") -> str:
        identity = [f"GIT_{role}_{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL", "DATE")]
        env = dict(zip(identity, ["T", "t@example.com", f"{WHEN} +0530"] * 2, strict=True))
        env |= {"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C"}
        done = subprocess.run(
            ["git", "-C", str(self.folder.parent if arguments[0] == "init" else self.folder), *arguments],
            input=given,
            capture_output=True,
            check=True,
            env=env,
            timeout=30,
        )
        return done.stdout.decode().strip()

    def commit(self, message: bytes, *options: str) -> CommitSha:
        self.git(*options, "commit", "--quiet", "--allow-empty", "--file=-", given=message)
        return self.head()

    def written(self, raw: bytes, kind: str = "commit") -> CommitSha:
        """Write an object byte for byte, as no git command would make it."""
        return parse_commit(self.git("hash-object", "-t", kind, "-w", "--stdin", "--literally", given=raw))

    def head(self) -> CommitSha:
        return parse_commit(self.git("rev-parse", "HEAD"))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def _raw_commit(repository: Repository, message: bytes, *, encoding: bytes = b"", time: str = str(WHEN)) -> bytes:
    tree = repository.git("hash-object", "-t", "tree", "-w", "--stdin")
    person = f"T <t@example.com> {time} +0000"
    header = f"tree {tree}\nauthor {person}\ncommitter {person}\n".encode()
    return header + (b"encoding " + encoding + b"\n" if encoding else b"") + b"\n" + message


def test_a_loose_commit_is_read(repository: Repository) -> None:
    sha = repository.commit("Save links\n\nÜber and over 🎉.\n".encode())
    assert read_commit(repository.objects, sha).commit == Commit(
        sha=sha,
        message="Save links\n\nÜber and over 🎉.\n",
        time=datetime(2025, 11, 3, 14, 30, 5, tzinfo=UTC),
        source_tree=EMPTY_TREE,
    )


def test_a_packed_commit_is_read(repository: Repository) -> None:
    shas = [repository.commit(f"Change {number}\n".encode()) for number in range(5)]
    repository.git("gc", "--quiet", "--aggressive")
    assert not (repository.objects / shas[0][:2] / shas[0][2:]).exists()
    assert [read_commit(repository.objects, sha).commit.subject for sha in shas] == [f"Change {n}" for n in range(5)]


def test_a_shallow_clone_is_read(repository: Repository, tmp_path: Path) -> None:
    repository.commit(b"First\n")
    sha = repository.commit(b"Second\n")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(clone))
    assert read_commit(clone / ".git" / "objects", sha).commit.subject == "Second"


@pytest.mark.parametrize(
    ("encoding", "raw", "message"),
    [
        ("ISO-8859-1", "Grüße\n".encode("latin-1"), "Grüße\n"),
        ("Shift_JIS", "漢字\n".encode("shift_jis"), "漢字\n"),
        ("no-such-encoding", "Grüße\n".encode(), "Grüße\n"),
        ("", "Gr\xfc\xdfe\n".encode("latin-1"), "Gr\ufffd\ufffde\n"),
        ("idna", b"abc\n", "abc\n"),
        ("undefined", b"abc\n", "abc\n"),
        ("zlib", b"abc\n", "abc\n"),
        ("a\x00b", b"abc\n", "abc\n"),
        ("\xff", b"abc\n", "abc\n"),
        ("unicode_escape", b"\\ud800", "?"),
        ("utf-7", b"+2AA-", "?"),
    ],
)
def test_a_message_in_another_encoding_is_read_as_well_as_can_be(
    repository: Repository, encoding: str, raw: bytes, message: str
) -> None:
    sha = repository.written(_raw_commit(repository, raw, encoding=encoding.encode("latin-1")))
    commit = read_commit(repository.objects, sha).commit
    assert commit.message == message
    assert commit.message.encode()


@pytest.mark.parametrize("seconds", [0, 1, 253_402_300_799])
def test_every_time_that_a_calendar_has_is_read(repository: Repository, seconds: int) -> None:
    sha = repository.written(_raw_commit(repository, b"x", time=str(seconds)))
    assert read_commit(repository.objects, sha).commit.time == datetime.fromtimestamp(seconds, tz=UTC)


@pytest.mark.parametrize("seconds", ["253402300800", "99999999999999999999"])
def test_a_time_beyond_the_calendar_is_left_out(repository: Repository, seconds: str) -> None:
    sha = repository.written(_raw_commit(repository, b"x", time=seconds))
    assert read_commit(repository.objects, sha).commit == Commit(sha=sha, message="x", source_tree=EMPTY_TREE)


def test_the_source_is_a_tree_of_the_commit(repository: Repository) -> None:
    for name in ("services/api/größe", "services/api/below/b", "services/file", "top"):
        (repository.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (repository.folder / name).write_text(name)
    repository.git("add", ".")
    sha = repository.commit(b"First\n")
    for source in ("services/api", "services"):
        found = read_commit(repository.objects, sha, source)
        assert found.commit.source_tree == repository.git("rev-parse", f"HEAD:{source}")
    assert set(read_commit(repository.objects, sha, "services/api").files) == {
        "services/api/größe",
        "services/api/below/b",
    }
    assert read_commit(repository.objects, sha, ".").commit.source_tree == repository.git("rev-parse", "HEAD^{tree}")
    for source in ("missing", "services/missing", "services/file", "top/below"):
        found = read_commit(repository.objects, sha, source)
        assert (found.commit.source_tree, found.files) == (None, {})


def test_an_annotated_tag_is_not_a_commit(repository: Repository) -> None:
    repository.commit(b"First\n")
    repository.git("tag", "-a", "v1.2.3", "-m", "Release")
    tag = parse_commit(repository.git("rev-parse", "v1.2.3"))
    with pytest.raises(CheckoutError, match="is not a commit"):
        read_commit(repository.objects, tag)
    peeled = parse_commit(repository.git("rev-parse", "v1.2.3^{commit}"))
    assert read_commit(repository.objects, peeled).commit.subject == "First"


def test_a_commit_that_is_not_there_is_named(repository: Repository) -> None:
    with pytest.raises(CheckoutError, match="0123456789abcdef0123456789abcdef01234567"):
        read_commit(repository.objects, CommitSha("0123456789abcdef0123456789abcdef01234567"))


@pytest.mark.parametrize("damage", [b"", b"no zlib at all", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_a_damaged_object_is_named(repository: Repository, damage: bytes) -> None:
    sha = repository.commit(b"First\n")
    file = repository.objects / sha[:2] / sha[2:]
    file.chmod(0o644)
    file.write_bytes(damage)
    with pytest.raises(CheckoutError, match=sha):
        read_commit(repository.objects, sha)


def test_a_folder_without_objects_is_told_apart_from_a_bug(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    with pytest.raises(CheckoutError):
        read_commit(tmp_path / "objects", CommitSha("0" * 40))


@pytest.mark.parametrize("content", [b"DIRC damaged", b"DIRC", b"damaged", b"DIRC\x00\x00\x00\x02\x00\x00\x00\x01"])
def test_an_index_that_is_damaged_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(CheckoutError, match=r"^The index of the repository cannot be read: "):
        overlooked_paths(tmp_path / "index", ".")


def test_the_objects_are_let_go(repository: Repository) -> None:
    sha = repository.commit(b"First\n")
    repository.git("gc", "--quiet")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        read_commit(repository.objects, sha)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


@pytest.mark.engine
@pytest.mark.registry
class TestAnEngine:
    """What it says of a folder of this machine, as the module asks it."""

    async def _read(
        self,
        dag: dagger.Client,
        folder: Path,
        source: str = ".",
        dockerfile: str | None = None,
        requested: str | None = None,
    ) -> Checkout:
        return await read_checkout(HostFiles(dag, folder), source, requested, dockerfile)

    async def test_a_branch_is_read_whole(self, dag: dagger.Client, repository: Repository) -> None:
        repository.git("remote", "add", "origin", "https://github.com/acme/links.git")
        sha = repository.commit("Save links\n\nÜber.\n".encode())
        repository.git("tag", "v1.2.3")
        assert await self._read(dag, repository.folder) == Checkout(
            head=Commit(
                sha=sha,
                message="Save links\n\nÜber.\n",
                time=datetime(2025, 11, 3, 14, 30, 5, tzinfo=UTC),
                source_tree=EMPTY_TREE,
            ),
            ref="refs/heads/master",
            origin="https://github.com/acme/links.git",
            dockerfiles=(),
        )

    @pytest.mark.parametrize("branch", ["main", "release/x", None])
    async def test_the_default_branch_is_where_the_head_of_the_origin_points(
        self, dag: dagger.Client, repository: Repository, branch: str | None
    ) -> None:
        repository.commit(b"First\n")
        if branch is not None:
            repository.git("symbolic-ref", "refs/remotes/origin/HEAD", f"refs/remotes/origin/{branch}")
        assert (await self._read(dag, repository.folder)).default_branch == branch

    @pytest.mark.parametrize("source", [".", "a[p]i"])
    async def test_the_dockerfiles_of_the_source_are_found(
        self, dag: dagger.Client, repository: Repository, source: str
    ) -> None:
        repository.commit(b"First\n")
        (repository.folder / source).mkdir(exist_ok=True)
        (repository.folder / source / "Containerfile").write_text("FROM scratch\n")
        found = await self._read(dag, repository.folder, source)
        assert (found.has_source, found.dockerfiles) == (True, ("Containerfile",))
        assert not (await self._read(dag, repository.folder, "missing")).has_source

    @pytest.mark.parametrize(("path", "found"), [("docker/api", True), ("./docker/api", True), ("docker/web", False)])
    async def test_the_dockerfile_that_is_requested_is_looked_for(
        self, dag: dagger.Client, repository: Repository, path: str, *, found: bool
    ) -> None:
        repository.commit(b"First\n")
        (repository.folder / "backend" / "docker").mkdir(parents=True)
        (repository.folder / "backend" / "docker" / "api").write_text("FROM scratch\n")
        (repository.folder / "backend" / "Dockerfile").write_text("FROM scratch\n")
        checkout = await self._read(dag, repository.folder, "backend", dockerfile=path)
        assert checkout.dockerfiles == ((path,) if found else ())

    async def test_a_detached_head_has_the_version_tags_that_name_it(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        repository.commit(b"First\n")
        repository.git("tag", "v1.0.0")
        repository.commit(b"Second\n")
        repository.git("tag", "v1.1.0")
        repository.git("tag", "-a", "v1.1.0+annotated", "-m", "Release")
        repository.git("tag", "nightly")
        repository.git("checkout", "--quiet", "--detach")
        checkout = await self._read(dag, repository.folder)
        assert (checkout.ref, checkout.tags) == (None, ("v1.1.0", "v1.1.0+annotated"))
        assert checkout.origin is None

    async def test_the_commit_of_the_version_tag_that_is_requested_is_read(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        sha = repository.commit(b"First\n")
        repository.git("tag", "-a", "v1.0.0", "-m", "Release")
        repository.commit(b"Second\n")
        wanted = {"refs/tags/v1.0.0": sha, "refs/tags/v2.0.0": None, "refs/heads/master": None, "refs/tags/x": None}
        for ref, commit in wanted.items():
            assert (await self._read(dag, repository.folder, requested=ref)).tagged == commit

    async def test_an_index_that_is_damaged_is_an_error_of_ours(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        (repository.folder / "file").write_text("")
        repository.git("add", ".")
        repository.commit(b"First\n")
        (repository.folder / ".git" / "index").write_bytes(b"DIRC damaged")
        with pytest.raises(CheckoutError, match=r"Git could not compare|The index of the repository cannot be read"):
            await self._read(dag, repository.folder)

    async def test_a_commit_whose_objects_are_damaged_is_an_error_of_ours(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        (repository.folder / "file").write_text("")
        repository.git("add", ".")
        repository.commit(b"First\n")
        tree = repository.git("rev-parse", "HEAD^{tree}")
        (repository.objects / tree[:2] / tree[2:]).unlink()
        with pytest.raises(CheckoutError, match="Git could not read commit"):
            await self._read(dag, repository.folder)

    async def test_what_is_not_committed_is_dirty_but_what_is_ignored_is_not(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        for name in ("kept", "changed", "removed", ".gitignore"):
            (repository.folder / name).write_text("ignored\n")
        repository.git("add", ".")
        repository.commit(b"First\n")
        assert (await self._read(dag, repository.folder)).dirty == ()
        (repository.folder / "changed").write_text("two\n")
        (repository.folder / "removed").unlink()
        (repository.folder / "ignored").write_text("")
        (repository.folder / "added").write_text("")
        assert (await self._read(dag, repository.folder)).dirty == ("added", "changed", "removed")

    async def test_what_is_outside_of_the_source_does_not_count(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        files = {".gitignore": "*.log\n", "services/.gitignore": "*.tmp\n", "services/api/Dockerfile": "", "other": ""}
        for name, content in files.items():
            (repository.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (repository.folder / name).write_text(content)
        repository.git("add", ".")
        repository.commit(b"First\n")
        for name in ("note", "other", "services/note", "services/api/a.log", "services/api/a.tmp", "services/api2"):
            (repository.folder / name).write_text("changed")
        assert (await self._read(dag, repository.folder, "services/api")).dirty == ()
        (repository.folder / "services/api/note").write_text("")
        assert (await self._read(dag, repository.folder, "services/api")).dirty == ("services/api/note",)

    @pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
    async def test_what_git_was_told_to_overlook_is_dirty(
        self, dag: dagger.Client, repository: Repository, flag: str
    ) -> None:
        names = ["api/kept", "api/changed", "api/removed", "api/run", "api/li[n]k", "outside"]
        (repository.folder / "api").mkdir()
        for name in names:
            (repository.folder / name).write_text("content")
        (repository.folder / names[4]).unlink()
        (repository.folder / names[4]).symlink_to("kept")
        repository.git("add", ".")
        repository.commit(b"First\n")
        repository.git("update-index", flag, *names)
        assert (await self._read(dag, repository.folder, "api")).dirty == ()
        (repository.folder / "api/changed").write_text("changed")
        (repository.folder / "api/removed").unlink()
        (repository.folder / "api/run").chmod(0o755)
        (repository.folder / "outside").write_text("changed")
        assert (await self._read(dag, repository.folder, "api")).dirty == ("api/changed", "api/removed", "api/run")

    async def test_a_submodule_that_is_not_checked_out_is_dirty(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        sha = repository.commit(b"Of another repository\n")
        for path in ("api/lib", "other"):
            repository.git("update-index", "--add", "--cacheinfo", f"160000,{sha},{path}")
        repository.commit(b"Add submodules\n")
        (repository.folder / "api/lib").mkdir(parents=True)
        assert (await self._read(dag, repository.folder, "api")).dirty == ("api/lib",)

    @pytest.mark.parametrize("source", ["current", "links/api"])
    async def test_a_source_behind_a_symbolic_link_is_none(
        self, dag: dagger.Client, repository: Repository, source: str
    ) -> None:
        (repository.folder / "api").mkdir()
        (repository.folder / "api/Dockerfile").write_text("FROM scratch\n")
        (repository.folder / "current").symlink_to("api")
        (repository.folder / "links").symlink_to(".")
        repository.git("add", ".")
        repository.commit(b"First\n")
        assert (await self._read(dag, repository.folder, "api")).has_source
        assert not (await self._read(dag, repository.folder, source)).has_source

    async def test_a_packed_history_is_read(self, dag: dagger.Client, repository: Repository) -> None:
        repository.commit(b"First\n")
        sha = repository.commit(b"Second\n")
        repository.git("gc", "--quiet")
        assert (await self._read(dag, repository.folder)).head.sha == sha

    async def test_a_repository_without_a_commit_is_an_error_of_ours(
        self, dag: dagger.Client, repository: Repository
    ) -> None:
        with pytest.raises(CheckoutError, match="Git could not read") as caught:
            await self._read(dag, repository.folder)
        assert "\n" not in caught.value.message

    async def test_a_folder_outside_git_is_an_error_of_ours(self, dag: dagger.Client, tmp_path: Path) -> None:
        (tmp_path / "plain").mkdir()
        with pytest.raises(CheckoutError, match="Git could not read"):
            await self._read(dag, tmp_path / "plain")


class TestTheOrderOfCommits:
    async def _descends(self, dag: dagger.Client, repository: Repository, commit: str, ancestor: str) -> bool | None:
        history = WorkspaceHistory(HostFiles(dag, repository.folder))
        return await history.descends(CommitSha(commit), CommitSha(ancestor))

    async def test_is_known_where_git_holds_both(self, dag: dagger.Client, repository: Repository) -> None:
        first, second = repository.commit(b"First"), repository.commit(b"Second")
        assert await self._descends(dag, repository, second, first) is True
        assert await self._descends(dag, repository, first, second) is False

    async def test_is_not_known_where_git_lacks_one(self, dag: dagger.Client, repository: Repository) -> None:
        head = repository.commit(b"First")
        assert await self._descends(dag, repository, "0" * 39 + "1", head) is None
        assert await self._descends(dag, repository, head, "0" * 39 + "1") is None

    async def test_is_not_known_where_the_history_is_cut(self, dag: dagger.Client, repository: Repository) -> None:
        first, second = repository.commit(b"First"), repository.commit(b"Second")
        (repository.folder / ".git" / "shallow").write_text(f"{second}\n")
        assert await self._descends(dag, repository, second, first) is None
        assert await self._descends(dag, repository, second, second) is True

    async def test_that_the_engine_does_not_tell_is_an_error_of_ours(self, dag: dagger.Client, tmp_path: Path) -> None:
        history = WorkspaceHistory(HostFiles(dag, tmp_path))
        with pytest.raises(CheckoutError, match="could not compare commit"):
            await history.descends(CommitSha("1" * 40), CommitSha("2" * 40))
