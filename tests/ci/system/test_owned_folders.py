from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci.system.owned_folders import owned_folder, owned_folders, remove_abandoned, remove_tree

OWNER = """
    import sys
    from pathlib import Path
    from ci.system.owned_folders import owned_folder
    with owned_folder(Path(sys.argv[1])) as folder:
        (folder / "secret").write_text("s3cret")
        print(folder, flush=True)
        sys.stdin.read()
"""


@contextmanager
def owner(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a process that owns a folder until its standard input ends."""
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_is_private_and_goes_with_the_block(tmp_path: Path) -> None:
    with owned_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert owned_folders(tmp_path) == {folder: True}
        remove_abandoned(tmp_path)
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_process_that_was_killed_is_removed_by_another(tmp_path: Path) -> None:
    with owner(tmp_path) as (process, folder):
        remove_abandoned(tmp_path)
        assert (folder / "secret").is_file()
        process.kill()
        process.wait(60)
        assert owned_folders(tmp_path) == {folder: False}
        remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_with_other_names_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "lr-ci-demo").mkdir()
    (tmp_path / "lr-ci-1-notes").mkdir()
    (tmp_path / "lr-ci-1-abcdefgh").symlink_to(tmp_path / "lr-ci-demo")
    remove_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_stays(tmp_path: Path) -> None:
    (tmp_path / "lr-ci-1-abcdefgh").mkdir()
    os.chown(tmp_path / "lr-ci-1-abcdefgh", 12345, 12345)
    remove_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_no_directory_has_no_folders(tmp_path: Path) -> None:
    assert owned_folders(tmp_path / "missing") == {}
    remove_abandoned(tmp_path / "missing")


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_a_new_folder_that_another_process_takes_for_abandoned_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    # A stand-in for the other process: the moment between the steps of the first one cannot be timed.
    removed: list[Path] = []

    def removes_first(name: str, holder: object) -> None:
        real = getattr(holder, name)

        def call(*arguments: object) -> object:
            if not removed:
                removed.extend(tmp_path.iterdir())
                remove_tree(removed[0])
            return real(*arguments)

        monkeypatch.setattr(holder, name, call)

    removes_first(*(("open", os) if moment == "before it is opened" else ("flock", fcntl)))
    with owned_folder(tmp_path) as folder:
        monkeypatch.undo()
        assert removed != [folder]
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_tree_without_write_permission_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    inner = tmp_path / "tree" / "inner"
    inner.mkdir(parents=True)
    (inner / "link").symlink_to(tmp_path / "kept")
    inner.chmod(0o500)
    remove_tree(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
