"""What the engine says on machines where it cannot work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci.engine.errors import EmbeddedEngineError
from ci.engine.protocol.server import embedded_engine
from ci.engine.store.session_folders import open_session_folders


async def opening(folder: Path) -> str:
    with pytest.raises(EmbeddedEngineError) as refused:
        async with embedded_engine(folder=folder):
            pass
    return str(refused.value)


async def test_only_root_can_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Dropping root for good would leave the test without its own folders.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert await opening(tmp_path) == ("the embedded engine requires root\nRun it as root, or use a Dagger engine.")


async def test_a_missing_builder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "buildah is not installed" in await opening(tmp_path / "engine")


async def test_a_store_that_overlay_cannot_stand_on_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file system without overlay's needs is not to be had everywhere; the builder's answer is the real one's.
    fake = tmp_path / "buildah"
    fake.write_text("#!/bin/sh\necho 'Error: kernel does not support overlay fs: invalid argument' >&2\nexit 125\n")
    fake.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    message = await opening(tmp_path / "engine")

    assert "kernel does not support overlay fs" in message
    assert "XDG_CACHE_HOME" in message


async def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "file").touch()

    assert str(tmp_path / "file") in await opening(tmp_path / "file")


async def test_an_error_in_the_block_comes_out_as_it_is(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the embedded engine builds as root only")

    with pytest.raises(ZeroDivisionError):
        async with embedded_engine(folder=tmp_path):
            raise ZeroDivisionError


def test_a_folders_is_private_and_goes(tmp_path: Path) -> None:
    with open_session_folders(tmp_path) as folders:
        private = folders.private
        assert folders.own.stat().st_mode & 0o777 == 0o700
        assert private.stat().st_mode & 0o777 == 0o700
        with folders.private_file("secret") as path:
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.read_text() == "secret"
        assert not path.exists()

    assert not folders.own.exists()
    assert not private.exists()
