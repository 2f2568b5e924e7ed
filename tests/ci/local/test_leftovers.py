from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ci.engine.store.session_folders import secrets_folder
from ci.local.leftovers import remove_leftovers
from ci.system.folders import engine_folder

OWNER = """
import sys
from pathlib import Path
from ci.system.owned_folders import owned_folder
with owned_folder(Path(sys.argv[1])) as folder:
    (folder / "token").write_text("s3cret")
    print(folder, flush=True)
    sys.stdin.read()
"""


def killed_owner(parent: Path) -> Path:
    """Return the folder of a process that was killed."""
    command = [sys.executable, "-c", OWNER, str(parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        process.kill()
    return folder


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use another cache than the killed process did, and no program."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))


async def test_secrets_and_temporary_files_go_whatever_cache_and_engine_they_were_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = [killed_owner(secrets_folder()), killed_owner(tmp_path)]
    await remove_leftovers()
    assert [folder for folder in left if folder.exists()] == []
    assert not (tmp_path / "cache").exists()


async def test_what_cannot_be_removed_does_not_stop_a_command() -> None:
    sessions = engine_folder() / "sessions"
    sessions.mkdir(parents=True)
    left = killed_owner(sessions)
    await remove_leftovers()  # without buildah
    assert left.is_dir()
