"""Calls of buildah: bounded in number and time, on the engine's own store, with messages that say what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from ci.engine.errors import QueryFailedError
from ci.engine.store.overlay import container_layers, detach
from ci.engine.store.storage import Storage
from ci.engine.store.workspace import Workspace
from ci.system.processes import Completed, LineSink, run_process

DATE = "1000000000"
"""Seconds since the epoch that every layer is dated, so that equal inputs give equal digests."""

_SHORT = 120.0
_LONG = 3600.0
_INTERNAL = re.compile(r"\s*&imagebuilder\.Step\{.*\}")
_NOISE = re.compile(r"^(Error:|time=\"[^\"]*\" level=\w+ msg=)\s*")


@dataclass(frozen=True)
class Buildah:
    """The driver of one session.

    Attributes:
        workspace: The session's folders.
        storage: The store.
    """

    workspace: Workspace
    storage: Storage
    _limit: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(max(2, os.cpu_count() or 1)))

    async def call(
        self,
        *arguments: str | os.PathLike[str],
        time_limit: float = _SHORT,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        on_stdout: LineSink | None = None,
        on_stderr: LineSink | None = None,
        program: str = "buildah",
    ) -> Completed:
        """Run it with these arguments; its exit status is for the caller to judge.

        Args:
            arguments: What follows the program's name.
            time_limit: Seconds it may take.
            environment: Its environment; that of the store, without credentials, when None.
            stdin: What it reads.
            on_stdout: Told each line as it comes.
            on_stderr: The same of standard error.
            program: `buildah` or `skopeo`.

        Raises:
            QueryFailedError: It is not installed, or took too long.
        """
        # A killed engine takes its builders with it: they end cleanly when their parent goes.
        guard = [] if shutil.which("setpriv") is None else ["setpriv", "--pdeathsig", "TERM", "--"]
        async with self._limit:
            try:
                return await run_process(
                    [*guard, program, *arguments],
                    time_limit=time_limit,
                    env=self.storage.environment() if environment is None else environment,
                    cwd=self.workspace.own,
                    stdin=stdin,
                    on_stdout=on_stdout,
                    on_stderr=on_stderr,
                )
            except FileNotFoundError as e:
                msg = f"{program} is not installed, and the embedded engine builds with it"
                raise QueryFailedError(msg, hint="`make setup` installs it; a Dagger engine needs none of it.") from e
            except TimeoutError as e:
                msg = f"{program} {arguments[0]} took longer than {time_limit:.0f} s and was stopped"
                raise QueryFailedError(msg) from e

    async def ask(self, *arguments: str | os.PathLike[str], time_limit: float = _SHORT, **more: Any) -> str:  # noqa: ANN401 - the options of `call`
        """Run it and return what it wrote.

        Raises:
            QueryFailedError: It failed; the message is the essence of its own.
        """
        done = await self.call(*arguments, time_limit=time_limit, **more)
        if done.exit_code != 0:
            raise QueryFailedError(essence(done.stderr) or f"buildah {arguments[0]} failed: exit code {done.exit_code}")
        return done.stdout.strip()

    @asynccontextmanager
    async def container(self, image: str | None) -> AsyncIterator[str]:
        """Give the name of a working container made of an image, removed when the block ends.

        Args:
            image: The image's id in the store; an empty file system when None.
        """
        name = self.workspace.unique("c")
        try:
            await self.ask("from", "--pull-never", "--name", name, image or "scratch")
            yield name
        finally:
            with anyio.CancelScope(shield=True):
                await self.remove(name)

    @asynccontextmanager
    async def root(self, container: str) -> AsyncIterator[Path]:
        """Give the folder where a working container's file system is mounted while the block runs."""
        folder = await self.ask("mount", container)
        try:
            yield Path(folder)
        finally:
            with anyio.CancelScope(shield=True):
                await self._unmount(container)

    async def remove(self, container: str) -> bool:
        """Unmount and remove a working container; what was written in it goes first where the disk is full.

        Returns:
            Whether it is gone. One that cannot be unmounted stays in the records, for the next session to remove.
        """
        layer = container_layers(self.storage).get(container)
        if layer is not None:
            if layer.is_mounted() and not await self._unmount(container):
                return False
            if not layer.has_room():
                # `rm` would drop the container's record and fail on the layer's, which nothing removes then.
                await layer.empty()
        return (await self.call("rm", container)).exit_code == 0

    async def _unmount(self, container: str) -> bool:
        """Unmount a working container that is about to be removed; tell whether it is mounted nowhere.

        On a full disk buildah fails to note that it unmounted, or fails before it does.
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
        """Keep a working container's file system as an image and return its id."""
        with self.workspace.scratch() as folder:
            id_file = folder / "id"
            await self.ask(
                "commit", "--quiet", "--format", "docker", "--timestamp", DATE, "--identity-label=false",
                "--iidfile", id_file, container, time_limit=_LONG,
            )  # fmt: skip
            return id_file.read_text(encoding="ascii").strip().removeprefix("sha256:")

    async def pull(self, address: str, environment: Mapping[str, str]) -> str:
        """Fetch an image, or find that it is here already, and return its id."""
        return await self.ask(
            "pull", "--quiet", "--policy", "always", "--signature-policy", self.storage.policy,
            f"docker://{address}", time_limit=_LONG, environment=environment,
        )  # fmt: skip

    async def inspect(self, image: str) -> Mapping[str, Any]:
        """Return an image's configuration in Docker's form, which knows more than the OCI's.

        Raises:
            QueryFailedError: There is no such image.
        """
        found: dict[str, Any] = json.loads(await self.ask("inspect", "--type", "image", image))
        return found

    async def has(self, image: str) -> bool:
        """Tell whether the store holds an image with this id."""
        done = await self.call("inspect", "--type", "image", "--format", "{{.FromImageID}}", image)
        return done.exit_code == 0


def essence(stderr: str) -> str:
    """Return what matters of a failed program's messages: the last one, without dates and prefixes."""
    before, panicked, trace = stderr.partition("\npanic: ")
    lines = [line.strip() for line in before.splitlines() if line.strip()]
    if panicked:
        # buildah 1.28 does so on a full disk; what it said before says more than its stack.
        said = lines[-1] if lines else "nothing before"
        return f"the builder crashed ({trace.partition(chr(10))[0]}) after: {said}"
    if not lines:
        return ""
    starts = [number for number, line in enumerate(lines) if line.startswith("Error:") or "level=fatal" in line]
    text = " ".join(lines[starts[-1] :]) if starts else lines[-1]
    text = _INTERNAL.sub("", text)
    return _NOISE.sub("", text).strip('" ').replace('\\"', '"')
