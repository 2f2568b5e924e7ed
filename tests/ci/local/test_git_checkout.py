from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ci.local.git_checkout import HostCheckout, HostHistory, read_host_checkout
from pipeline.rules.errors import CheckoutError
from pipeline.rules.exit_codes import ExitCode
from pipeline.rules.refs import CommitSha
from tests.ci.repositories import Repository, new_repository

COMMITTED = datetime(2025, 11, 3, 13, 30, 5, tzinfo=UTC)


async def read(repository: Repository, folder: str = ".") -> HostCheckout:
    return await read_host_checkout(repository.top / folder)


class TestTheRef:
    async def test_is_the_branch_at_head(self, repository: Repository) -> None:
        found = await read(repository)
        assert found.checkout.ref == "refs/heads/master"
        assert found.checkout.head.sha == repository.head

    @pytest.mark.parametrize("branch", ["feature/links", "größe", "HEAD", "v1.2.3", "with'quote\"s", "heads/x", "🚢"])
    async def test_is_a_branch_whatever_its_name(self, repository: Repository, branch: str) -> None:
        repository.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        repository.commit()
        assert (await read(repository)).checkout.ref == f"refs/heads/{branch}"

    async def test_is_none_where_head_is_detached(self, repository: Repository) -> None:
        repository.git("checkout", "--quiet", "--detach")
        checkout = (await read(repository)).checkout
        assert (checkout.ref, checkout.tags) == (None, ())

    async def test_is_none_at_a_detached_tag_and_the_tag_is_known(self, repository: Repository) -> None:
        repository.git("tag", "v1.2.3")
        repository.git("checkout", "--quiet", "v1.2.3")
        checkout = (await read(repository)).checkout
        assert (checkout.ref, checkout.tags) == (None, ("v1.2.3",))


class TestTheCommitThatTheCallerNames:
    async def test_is_read_where_git_holds_it(self, repository: Repository) -> None:
        older = repository.head
        repository.commit()
        named = (await read_host_checkout(repository.top, named=older.upper())).checkout.named
        assert named is not None
        assert (named.sha, named.time is None) == (older, False)

    async def test_is_none_at_head_where_the_commit_is_unknown_or_invalid(self, repository: Repository) -> None:
        for named in (None, repository.head, "0" * 40, "main", "--all", "0" * 39):
            assert (await read_host_checkout(repository.top, named=named)).checkout.named is None


class TestTheTagOfTheRefThatTheCallerNames:
    async def test_is_read_with_what_it_names_light_or_annotated(self, repository: Repository) -> None:
        first = repository.head
        repository.git("tag", "v1.0.0")
        repository.git("tag", "--annotate", "-m", "release", "v1.0.1")
        repository.commit()
        for ref in ("refs/tags/v1.0.0", "refs/tags/v1.0.1"):
            assert (await read_host_checkout(repository.top, ref=ref)).checkout.tagged == first

    async def test_is_none_where_the_tag_is_unknown_or_invalid(self, repository: Repository) -> None:
        for ref in (None, "refs/tags/v9.9.9", "refs/heads/master", "master", "refs/tags/", "--all", "refs/tags/a\0b"):
            assert (await read_host_checkout(repository.top, ref=ref)).checkout.tagged is None


class TestTheTags:
    async def test_are_all_at_head_light_and_annotated(self, repository: Repository) -> None:
        repository.git("tag", "v0.9.0")
        repository.commit()
        repository.git("tag", "v1.0.0")
        repository.git("tag", "--annotate", "-m", "release", "v1.0.0-rc.1")
        repository.git("tag", "größe")
        assert set((await read(repository)).checkout.tags) == {"v1.0.0", "v1.0.0-rc.1", "größe"}

    async def test_do_not_depend_on_how_a_person_lists_them(self, repository: Repository) -> None:
        repository.git("tag", "v1.0.0")
        repository.git("config", "tag.sort", "-version:refname")
        repository.git("config", "column.ui", "always")
        repository.git("config", "color.ui", "always")
        repository.git("tag", "v1.0.1")
        assert set((await read(repository)).checkout.tags) == {"v1.0.0", "v1.0.1"}


class TestTheFolder:
    async def test_may_be_any_below_the_top(self, repository: Repository) -> None:
        repository.write("backend/new.rb")
        found = await read(repository, "backend")
        assert found.top == repository.top
        assert found.checkout.dirty == ("backend/new.rb",)

    async def test_may_have_any_name(self, tmp_path: Path, git_alone: None) -> None:
        del git_alone
        repository = new_repository(tmp_path / "größe 'x' \n🚢")
        repository.commit()
        assert (await read(repository)).top == repository.top

    async def test_may_be_a_worktree(self, repository: Repository, tmp_path: Path) -> None:
        repository.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "other"))
        repository.git("config", "remote.origin.url", "git@github.com:acme/links.git")
        repository.write("only-in-the-main-tree")
        found = await read_host_checkout(tmp_path / "other")
        assert found.top == tmp_path / "other"
        assert found.checkout.ref == "refs/heads/other"
        assert found.checkout.origin == "git@github.com:acme/links.git"
        assert found.checkout.dirty == ()

    async def test_may_be_a_shallow_clone(self, repository: Repository, tmp_path: Path) -> None:
        for number in range(3):
            repository.commit(f"Number {number}\n")
        repository.git("clone", "--quiet", "--depth=1", repository.top.as_uri(), str(tmp_path / "shallow"))
        found = await read_host_checkout(tmp_path / "shallow")
        assert found.checkout.head.sha == repository.head
        assert found.checkout.head.message == "Number 2\n"

    async def test_must_be_in_a_repository(self, tmp_path: Path, git_alone: None) -> None:
        del git_alone
        with pytest.raises(CheckoutError) as caught:
            await read_host_checkout(tmp_path)
        assert str(tmp_path) in caught.value.message
        assert "not in a git repository" in caught.value.message
        assert "clone" in caught.value.hint
        assert caught.value.exit_code is ExitCode.USAGE

    async def test_must_have_a_commit(self, empty_repository: Repository) -> None:
        with pytest.raises(CheckoutError, match="no commit yet") as caught:
            await read(empty_repository)
        assert str(empty_repository.top) in caught.value.message

    async def test_must_have_a_working_tree(self, repository: Repository, tmp_path: Path) -> None:
        repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
        with pytest.raises(CheckoutError, match="work tree"):
            await read_host_checkout(tmp_path / "bare.git")

    @pytest.mark.parametrize("kind", ["missing", "file"])
    async def test_must_be_a_folder(self, tmp_path: Path, kind: str) -> None:
        place = tmp_path / kind
        if kind == "file":
            place.touch()
        with pytest.raises(CheckoutError, match=r"Directory .* not found"):
            await read_host_checkout(place)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
    async def test_of_another_user_is_reported_with_a_remedy(self, repository: Repository) -> None:
        for folder, _, files in os.walk(repository.top):
            for name in [".", *files]:
                shutil.chown(Path(folder, name), 12345, 12345)
        with pytest.raises(CheckoutError) as caught:
            await read(repository)
        assert "of another user" in caught.value.message
        assert "not in a git repository" not in caught.value.message
        assert caught.value.hint.endswith(f"git config --global --add safe.directory {repository.top}")

    async def test_of_a_damaged_repository_is_not_said_to_lack_a_commit(self, repository: Repository) -> None:
        sha = repository.head
        loose = repository.top / ".git/objects" / sha[:2] / sha[2:]
        loose.unlink()
        with pytest.raises(CheckoutError) as caught:
            await read(repository)
        assert "no commit yet" not in caught.value.message


async def test_git_must_be_installed(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(CheckoutError, match="Git is not installed") as caught:
        await read(repository)
    assert "make setup" in caught.value.hint


async def test_the_messages_of_git_count_in_any_language(
    empty_repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    with pytest.raises(CheckoutError, match="no commit yet"):
        await read(empty_repository)


class TestDirt:
    async def test_is_none_in_a_clean_tree(self, repository: Repository) -> None:
        assert (await read(repository)).checkout.dirty == ()

    async def test_is_every_kind_of_difference_in_the_order_of_the_paths(self, repository: Repository) -> None:
        for name in ("modified", "removed", "staged", "renamed-before", "both"):
            repository.write(name, f"{name}\n" * 20)
        repository.commit()
        repository.write("modified", "other\n")
        (repository.top / "removed").unlink()
        repository.write("staged", "other\n")
        repository.write("both", "one\n")
        repository.write("added")
        repository.git("add", "staged", "added", "both")
        repository.write("both", "two\n")
        repository.git("mv", "renamed-before", "renamed-after")
        repository.write("untracked/below/it")
        repository.write("intended")
        repository.git("add", "--intent-to-add", "intended")
        assert (await read(repository)).checkout.dirty == (
            "added",
            "both",
            "intended",
            "modified",
            "removed",
            "renamed-after",
            "renamed-before",
            "staged",
            "untracked/below/it",
        )

    async def test_is_a_file_that_may_be_run_now(self, repository: Repository) -> None:
        (repository.top / "backend/Dockerfile").chmod(0o755)
        assert (await read(repository)).checkout.dirty == ("backend/Dockerfile",)

    async def test_is_not_what_git_ignores(self, repository: Repository) -> None:
        repository.write(".gitignore", "*.log\ntmp/\n")
        repository.commit()
        repository.write("some.log")
        repository.write("tmp/file")
        assert (await read(repository)).checkout.dirty == ()

    async def test_is_not_a_file_that_was_only_touched(self, repository: Repository) -> None:
        os.utime(repository.top / "backend/Dockerfile", (1, 1))
        assert (await read(repository)).checkout.dirty == ()

    @pytest.mark.parametrize(
        "name", ["new\nline", "quo\"te's", "größe 🚢", " in front", "a -> b", "tab\t", "back\\slash"]
    )
    async def test_has_paths_as_they_are(self, repository: Repository, name: str) -> None:
        repository.write(name)
        repository.write(f"backend/{name}")
        assert (await read(repository)).checkout.dirty == tuple(sorted([name, f"backend/{name}"]))

    async def test_may_have_paths_that_are_not_text(self, repository: Repository) -> None:
        Path(os.fsdecode(os.fsencode(repository.top) + b"/caf\xe9")).touch()
        assert (await read(repository)).checkout.dirty == ("caf\ufffd",)

    async def test_does_not_depend_on_how_a_person_likes_it_shown(self, repository: Repository) -> None:
        settings = {
            "status.showUntrackedFiles": "no",
            "status.relativePaths": "true",
            "status.branch": "true",
            "status.short": "true",
            "color.status": "always",
            "core.quotePath": "true",
        }
        for name, value in settings.items():
            repository.git("config", name, value)
        repository.write("backend/größe")
        assert (await read(repository, "backend")).checkout.dirty == ("backend/größe",)

    async def test_is_only_what_is_in_the_source(self, repository: Repository) -> None:
        for name in ("note", "backend2/file", "backend/file"):
            repository.write(name)
        for folder in (".", "backend"):
            found = await read_host_checkout(repository.top / folder, "backend")
            assert found.checkout.dirty == ("backend/file",)
        assert (await read_host_checkout(repository.top, "[b]ackend")).checkout.dirty == ()

    @pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
    async def test_is_what_git_was_told_to_overlook(self, repository: Repository, flag: str) -> None:
        for name in ("backend/kept", "backend/changed", "backend/removed", "outside"):
            repository.write(name)
        repository.commit()
        repository.git("update-index", flag, "backend/kept", "backend/changed", "backend/removed", "outside")
        assert (await read_host_checkout(repository.top, "backend")).checkout.dirty == ()
        before = (repository.top / ".git/index").read_bytes()

        repository.write("backend/changed", "other\n")
        repository.write("outside", "other\n")
        (repository.top / "backend/removed").unlink()

        found = await read_host_checkout(repository.top / "backend", "backend")
        assert found.checkout.dirty == ("backend/changed", "backend/removed")
        assert (repository.top / ".git/index").read_bytes() == before

    async def test_is_a_submodule_that_is_not_checked_out(self, repository: Repository, tmp_path: Path) -> None:
        other = new_repository(tmp_path / "other")
        other.commit()
        allow = ("-c", "protocol.file.allow=always")
        repository.git(*allow, "submodule", "--quiet", "add", str(other.top), "backend/vendor/other")
        repository.git(*allow, "submodule", "--quiet", "add", str(other.top), "elsewhere")
        repository.commit()
        assert (await read_host_checkout(repository.top, "backend")).checkout.dirty == ()
        repository.git("submodule", "--quiet", "deinit", "--force", "--all")
        assert (await read_host_checkout(repository.top, "backend")).checkout.dirty == ("backend/vendor/other",)

    async def test_is_a_submodule_with_changes(self, repository: Repository, tmp_path: Path) -> None:
        other = new_repository(tmp_path / "other")
        other.write("file")
        other.commit()
        repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.top), "vendor")
        repository.commit()
        assert (await read(repository)).checkout.dirty == ()
        Repository(repository.top / "vendor").write("file", "changed\n")
        assert (await read(repository)).checkout.dirty == ("vendor",)
        Repository(repository.top / "vendor").commit()
        assert (await read(repository)).checkout.dirty == ("vendor",)

    async def test_does_not_lock_the_index_for_anybody_else(self, repository: Repository) -> None:
        os.utime(repository.top / "backend/Dockerfile", (1, 1))
        (repository.top / ".git/index.lock").touch()
        assert (await read(repository)).checkout.dirty == ()


class TestTheRepositorysOwnConfiguration:
    @pytest.fixture
    def trap(self, tmp_path: Path) -> Path:
        """A program that notes that it was started."""
        program = tmp_path / "trap"
        program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/sprung\nexit 1\n')
        program.chmod(0o755)
        return program

    @staticmethod
    def arm(repository: Repository, trap: Path) -> None:
        """Have git start a program wherever it can while it reads."""
        hooks = trap.with_name("hooks")
        hooks.mkdir(exist_ok=True)
        for hook in ("fsmonitor-watchman", "post-index-change", "post-checkout", "reference-transaction"):
            (hooks / hook).unlink(missing_ok=True)
            (hooks / hook).symlink_to(trap)
        settings = {
            "core.fsmonitor": trap, "core.hooksPath": hooks, "core.pager": trap, "core.sshCommand": trap,
            "core.askPass": trap, "core.editor": trap, "core.gitProxy": trap, "core.alternateRefsCommand": trap,
            "credential.helper": trap, "diff.external": trap, "gpg.program": trap, "log.showSignature": "true",
            "pager.log": trap, "pager.status": trap, "pager.tag": trap, "status.submoduleSummary": "true",
        }  # fmt: skip
        for name, value in settings.items():
            repository.git("config", name, str(value))

    async def test_starts_no_program(self, repository: Repository, trap: Path) -> None:
        repository.git("tag", "v1.2.3")
        self.arm(repository, trap)
        repository.git("-c", "core.fsmonitor=false", "-c", "core.hooksPath=", "update-index", "--assume-unchanged",
                       "backend/Dockerfile")  # fmt: skip
        os.utime(repository.top / "backend/Dockerfile", (1, 1))
        await read_host_checkout(repository.top, "backend", repository.head, "refs/tags/v1.2.3")
        assert not trap.with_name("sprung").exists()

    async def test_starts_no_program_in_a_submodule(self, repository: Repository, tmp_path: Path, trap: Path) -> None:
        other = new_repository(tmp_path / "other")
        other.write("file")
        other.commit()
        repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.top), "vendor")
        repository.commit()
        self.arm(Repository(repository.top / "vendor"), trap)
        await read(repository)
        assert not trap.with_name("sprung").exists()

    async def test_starts_no_program_for_what_a_partial_clone_lacks(
        self, repository: Repository, tmp_path: Path, trap: Path
    ) -> None:
        older = repository.head
        repository.write("backend/more")
        repository.commit()
        repository.git("config", "uploadpack.allowFilter", "true")
        clone = Repository(tmp_path / "clone")
        clone.top.mkdir()
        clone.git("clone", "--quiet", "--filter=tree:0", "--no-local", f"file://{repository.top}", ".")
        clone.git("config", "remote.origin.url", "host:repository")
        self.arm(clone, trap)
        found = await read_host_checkout(clone.top, "backend", older)
        assert found.checkout.named is not None
        assert not trap.with_name("sprung").exists()


class TestTheMessage:
    @pytest.mark.parametrize(
        "message",
        [
            "Save links\n",
            "Save links\n\nAnd find them again.\n",
            "no newline at the end",
            "Windows\r\n\r\nwrites it so.\r\n",
            "Schiff 🚢 größe\n",
            "x" * 65_536 + "\n",
            "\n\nlines before and after\n\n\n",
            "# not a comment\n\ttab and $(command) `and` %H %x00\n",
            "",
        ],
        ids=["one line", "body", "no newline", "CRLF", "emoji", "64 KiB", "lines around", "signs", "empty"],
    )
    async def test_is_what_the_commit_holds(self, repository: Repository, message: str) -> None:
        repository.commit(message)
        assert (await read(repository)).checkout.head.message == message

    async def test_is_read_in_its_own_encoding(self, repository: Repository) -> None:
        repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
        repository.commit("Größe\n".encode("latin-1"))
        assert (await read(repository)).checkout.head.message == "Größe\n"

    async def test_may_have_bytes_that_are_not_text(self, repository: Repository) -> None:
        # Git itself would take it for Latin-1 and write UTF-8; other programs write commits too.
        commit = repository.git("cat-file", "commit", "HEAD").partition("\n\n")[0].encode() + b"\n\ncaf\xe9\n"
        sha = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=commit)
        repository.git("update-ref", "HEAD", sha)
        assert (await read(repository)).checkout.head.message == "caf\ufffd\n"

    async def test_does_not_depend_on_how_a_person_reads_the_log(self, repository: Repository) -> None:
        for name, value in {
            "log.showSignature": "true",
            "log.decorate": "full",
            "color.ui": "always",
            "i18n.logOutputEncoding": "ISO-8859-1",
            "format.pretty": "oneline",
        }.items():
            repository.git("config", name, value)
        repository.commit("Größe\n")
        head = (await read(repository)).checkout.head
        assert (head.message, head.subject) == ("Größe\n", "Größe")


async def test_the_source_is_a_tree_of_the_commit(repository: Repository) -> None:
    first, tree = repository.head, repository.git("rev-parse", "HEAD:backend")
    repository.write("backend/more")
    repository.commit()
    found = (await read_host_checkout(repository.top / "backend", "backend", named=first)).checkout
    assert found.head.source_tree == repository.git("rev-parse", "HEAD:backend") != tree
    assert found.named is not None
    assert found.named.source_tree == tree
    assert (await read(repository)).checkout.head.source_tree == repository.git("rev-parse", "HEAD^{tree}")
    assert (await read_host_checkout(repository.top, "missing")).checkout.head.source_tree is None


async def test_the_time_is_the_committers_in_utc(repository: Repository) -> None:
    assert (await read(repository)).checkout.head.time == COMMITTED


@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/linkradar/linkradar.git",
        "git@github.com:linkradar/linkradar.git",
        "ssh://git@github.com:22/linkradar/linkradar",
        "/srv/git/größe with spaces.git",
        None,
    ],
)
async def test_the_origin_is_as_it_was_given(repository: Repository, origin: str | None) -> None:
    repository.git("remote", "add", "upstream", "https://example.org/another.git")
    if origin is not None:
        repository.git("remote", "add", "origin", origin)
    assert (await read(repository)).checkout.origin == origin


@pytest.mark.parametrize("branch", ["main", "release/größe", None])
async def test_the_default_branch_is_where_the_head_of_the_origin_points(
    repository: Repository, branch: str | None
) -> None:
    if branch is not None:
        repository.git("symbolic-ref", "refs/remotes/origin/HEAD", f"refs/remotes/origin/{branch}")
    assert (await read(repository)).checkout.default_branch == branch


class TestTheOrderOfCommits:
    UNKNOWN = "0" * 39 + "1"

    async def test_is_known_where_git_holds_both(self, repository: Repository) -> None:
        first, second = repository.head, repository.commit()
        assert await _descends(repository, second, first) is True
        assert await _descends(repository, first, second) is False
        repository.git("checkout", "--quiet", "-b", "other", first)
        sibling = repository.commit("Another way")
        assert await _descends(repository, sibling, second) is False

    async def test_is_not_known_where_git_lacks_one(self, repository: Repository, tmp_path: Path) -> None:
        assert await _descends(repository, self.UNKNOWN, repository.head) is None
        assert await _descends(repository, repository.head, self.UNKNOWN) is None
        assert await HostHistory(tmp_path).descends(CommitSha(repository.head), CommitSha(self.UNKNOWN)) is None

    async def test_of_a_shallow_clone_is_only_known_where_it_holds_the_way(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        first, second, third = repository.head, repository.commit(), repository.commit("Third")
        repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
        shallow = new_repository(tmp_path / "shallow")
        for commit in (first, third):
            shallow.git("fetch", "--quiet", "--depth=1", f"file://{repository.top}", commit)
        assert await _descends(shallow, third, first) is None  # it is a descendant, but the way to it is missing
        assert await _descends(shallow, third, second) is None
        shallow.git("fetch", "--quiet", "--depth=2", f"file://{repository.top}", third)
        assert await _descends(shallow, third, second) is True


async def _descends(repository: Repository, commit: str, ancestor: str) -> bool | None:
    return await HostHistory(repository.top).descends(CommitSha(commit), CommitSha(ancestor))
