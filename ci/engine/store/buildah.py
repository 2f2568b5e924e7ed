"""Calls buildah and skopeo on the engine's own store, limited in number and time."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.store.overlay import container_layers, detach
from ci.engine.store.session_folders import SessionFolders
from ci.engine.store.storage import Storage
from ci.system.processes import Completed, LineSink, StalledError, run_process
from pipeline.rules.platforms import Platform

DATE = "1000000000"
"""The date of every layer, in seconds since the epoch, so that equal inputs give equal digests."""

COMMAND_SECONDS = 2 * 3600.0
"""How long a build or a command in a container may take."""

TRANSFER_SECONDS = 3600.0
"""How long a transfer of an image may take, between registries, the store and the disk."""

CLEANUP_SECONDS = 60.0
"""How long it may take to remove a working container or all that a session leaves; a later command does the rest."""

STALL_SECONDS = 120.0
"""How long a transfer from or to a registry may make no progress; a registry needs some time to store a large layer."""

PullPolicy = Literal["always", "missing"]
"""Whether an image is pulled although the store has one of this name and platform."""

_SHORT = 120.0
_INTERNAL = re.compile(r"\s*&imagebuilder\.Step\{.*\}")
_NOISE = re.compile(r"^(Error:|time=\"[^\"]*\" level=\w+ msg=)\s*")


@dataclass(frozen=True)
class Buildah:
    """Runs buildah and skopeo for one session.

    Attributes:
        folders: The session's directories.
        storage: The store.
    """

    folders: SessionFolders
    storage: Storage
    _limit: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(max(2, os.cpu_count() or 1)))

    async def call(
        self,
        *arguments: str | os.PathLike[str],
        time_limit: float = _SHORT,
        stall_limit: float | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        on_stdout: LineSink | None = None,
        on_stderr: LineSink | None = None,
        program: str = "buildah",
    ) -> Completed:
        """Run buildah with these arguments; a non-zero exit status is for the caller to judge.

        Args:
            arguments: The arguments of the program.
            time_limit: Seconds after which it is stopped.
            stall_limit: Seconds without progress after which it is stopped as well.
            environment: Its environment; that of the store, without credentials, when None.
            stdin: Its standard input.
            on_stdout: Called with each line of standard output.
            on_stderr: Called with each line of standard error.
            program: `buildah` or `skopeo`.

        Raises:
            QueryFailedError: It is not installed, or was stopped.
        """
        # If the engine is killed, its builders receive SIGTERM and end cleanly.
        guard = [] if shutil.which("setpriv") is None else ["setpriv", "--pdeathsig", "TERM", "--"]
        async with self._limit:
            try:
                return await run_process(
                    [*guard, program, *arguments],
                    time_limit=time_limit,
                    stall_limit=stall_limit,
                    env=self.storage.environment() if environment is None else environment,
                    cwd=self.folders.own,
                    stdin=stdin,
                    on_stdout=on_stdout,
                    on_stderr=on_stderr,
                )
            except FileNotFoundError as e:
                msg = f"{program} is not installed, and the embedded engine requires it"
                raise QueryFailedError(msg, hint="`make setup` installs it; a Dagger engine does not need it.") from e
            except StalledError as e:
                msg = f"{program} {arguments[0]} made {e} and was stopped"
                raise QueryFailedError(msg) from e
            except TimeoutError as e:
                msg = f"{program} {arguments[0]} took longer than {time_limit:.0f} s and was stopped"
                raise QueryFailedError(msg) from e

    async def ask(self, *arguments: str | os.PathLike[str], time_limit: float = _SHORT, **more: Any) -> str:  # noqa: ANN401 - the options of `call`
        """Run buildah and return its standard output.

        Raises:
            QueryFailedError: It failed; the message contains the reason.
        """
        done = await self.call(*arguments, time_limit=time_limit, **more)
        if done.exit_code != 0:
            raise QueryFailedError(essence(done.stderr) or f"buildah {arguments[0]} failed: exit code {done.exit_code}")
        return done.stdout.strip()

    @asynccontextmanager
    async def container(self, image: str | None) -> AsyncIterator[str]:
        """Provide the name of a working container of an image while the block runs.

        Args:
            image: The image's id in the store; None for an empty file system.
        """
        name = self.folders.unique("c")
        try:
            await self.ask("from", "--pull-never", "--name", name, image or "scratch")
            yield name
        finally:
            with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                await self.remove(name)

    @asynccontextmanager
    async def root(self, container: str) -> AsyncIterator[Path]:
        """Provide the directory where a working container is mounted while the block runs."""
        folder = await self.ask("mount", container)
        try:
            yield Path(folder)
        finally:
            with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                await self._unmount(container)

    async def remove(self, container: str) -> bool:
        """Unmount and remove a working container; on a full disk, what was written in it is removed first.

        Returns:
            Whether it is removed. If it cannot be unmounted, it stays for the next session to remove.
        """
        layer = container_layers(self.storage).get(container)
        if layer is not None:
            layer.complete_description()
            if layer.is_mounted() and not await self._unmount(container):
                return False
            if not layer.has_room():
                # `rm` would remove the container's record, fail on the layer's, and leave it for good.
                await layer.empty()
        return (await self.call("rm", container)).exit_code == 0

    async def _unmount(self, container: str) -> bool:
        """Unmount a working container before its removal, and return whether it is unmounted.

        On a full disk buildah fails to record that it unmounted, or fails before it does.
        """
        layer = container_layers(self.storage).get(container)
        done = await self.call("umount", container)
        if layer is None:
            return done.exit_code == 0
        if done.exit_code == 0 and not layer.is_mounted():
            return True
        detached = await detach(layer.merged)
        if not layer.has_room():
            await layer.empty()
        await self.call("umount", container)
        return detached and not layer.is_mounted()

    async def commit(self, container: str) -> str:
        """Commit a working container to an image and return the image's id."""
        with self.folders.scratch() as folder:
            id_file = folder / "id"
            await self.ask(
                "commit", "--quiet", "--format", "docker", "--timestamp", DATE, "--identity-label=false",
                "--iidfile", id_file, container, time_limit=TRANSFER_SECONDS,
            )  # fmt: skip
            return id_file.read_text(encoding="ascii").strip().removeprefix("sha256:")

    async def pull(
        self, address: str, platform: Platform, environment: Mapping[str, str], *, policy: PullPolicy = "always"
    ) -> str:
        """Pull an image, unless the store has its current version (or with `missing`, any), and return its id."""
        return await self.ask(
            "pull", "--quiet", "--policy", policy, "--signature-policy", self.storage.policy,
            "--platform", str(platform), f"docker://{address}", environment=environment,
            time_limit=TRANSFER_SECONDS, stall_limit=STALL_SECONDS,
        )  # fmt: skip

    async def inspect(self, image: str) -> Mapping[str, Any]:
        """Return an image's configuration in Docker's form, which contains more than the OCI's.

        Raises:
            QueryFailedError: The store has no such image.
        """
        found: dict[str, Any] = json.loads(await self.ask("inspect", "--type", "image", image))
        return found


def essence(stderr: str) -> str:
    """Return the last message of a failed program, without dates and prefixes."""
    before, panicked, trace = stderr.partition("\npanic: ")
    lines = [line.strip() for line in before.splitlines() if line.strip()]
    if panicked:
        # buildah 1.28 does so on a full disk; its last message says more than the stack.
        said = lines[-1] if lines else "no message"
        return f"the builder crashed ({trace.partition(chr(10))[0]}) after: {said}"
    if not lines:
        return ""
    starts = [number for number, line in enumerate(lines) if line.startswith("Error:") or "level=fatal" in line]
    text = " ".join(lines[starts[-1] :]) if starts else lines[-1]
    text = _INTERNAL.sub("", text)
    return _NOISE.sub("", text).strip('" ').replace('\\"', '"')
