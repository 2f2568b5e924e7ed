"""Removes what killed commands left on the host, at the start of every command."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import anyio

from ci.engine.errors import EmbeddedEngineError
from ci.engine.store.buildah import CLEANUP_SECONDS
from ci.engine.store.cleanup import sweep_private_folders, sweep_store
from ci.system.folders import engine_folder
from ci.system.owned_folders import remove_abandoned


async def remove_leftovers() -> None:
    """Remove secrets, temporary files, and the embedded engine's containers, mounts and folders of killed commands.

    What cannot be removed is left to a later command. If nothing was left, this is a look at three directories.
    """
    await sweep_private_folders()
    remove_abandoned(Path(tempfile.gettempdir()))
    if os.geteuid() == 0:  # the embedded engine runs as root only
        with suppress(EmbeddedEngineError), anyio.move_on_after(CLEANUP_SECONDS):
            await sweep_store(engine_folder())
