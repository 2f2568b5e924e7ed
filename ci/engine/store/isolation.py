"""How commands in containers are isolated from the host: by runc if it works, else by chroot."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ci.engine.errors import QueryFailedError
from ci.engine.store.buildah import Buildah, essence
from ci.system.process_identity import boot_id
from ci.system.processes import run_process

# Every Debian has one of these. They are linked statically, so they run in an empty file system.
_PROBES = ("/bin/busybox", "/sbin/ldconfig", "/usr/sbin/ldconfig.real", "/sbin/ldconfig.real")
_NAME_OF_PROBE = "probe"
_LIMIT = 30.0


class Isolation(StrEnum):
    """The kinds of isolation, by buildah's names."""

    RUNC = "oci"
    CHROOT = "chroot"


@dataclass(frozen=True, slots=True)
class Runner:
    """What runs commands in containers.

    Attributes:
        isolation: The kind of isolation.
        runtime_root: The directory of runc's state of this session's containers.
        reason: Why it is not runc; empty if it is.
        known: Whether an earlier session of this boot found it out.
    """

    isolation: Isolation
    runtime_root: Path
    reason: str = ""
    known: bool = False

    @property
    def arguments(self) -> list[str]:
        """The arguments of `buildah run` and `buildah build` that select it. The network is the host's."""
        common = ["--isolation", self.isolation, "--network", "host"]
        if self.isolation is Isolation.CHROOT:
            return common
        return [*common, "--runtime", "runc", "--runtime-flag", f"root={self.runtime_root}"]

    @property
    def notice(self) -> str:
        """One line for the user."""
        if self.isolation is Isolation.RUNC:
            return "commands run in runc containers on the host's network"
        return (
            f"commands run in a chroot, with hardly any isolation, as runc cannot be used ({self.reason}); "
            "use a Dagger engine for code that you do not trust"
        )


async def choose_runner(buildah: Buildah) -> Runner:
    """Find out what works on this host; the result is kept until the next boot or update of buildah.

    Raises:
        QueryFailedError: Nothing works; the message states why.
    """
    root = buildah.folders.runtime_root
    note = buildah.storage.run / "isolation.json"
    stamp = {"boot": boot_id(), "buildah": await buildah.ask("--version")}
    kept = _read(note)
    if kept.get("stamp") == stamp:
        return Runner(Isolation(kept["isolation"]), root, kept["reason"], known=True)
    runner = await _probe(buildah, root)
    finding = {"stamp": stamp, "isolation": runner.isolation, "reason": runner.reason}
    draft = note.with_name(buildah.folders.unique("isolation"))
    draft.write_text(json.dumps(finding), encoding="utf-8")
    draft.replace(note)
    return runner


async def stop_containers(runtime_root: Path) -> None:
    """Stop the containers of a session that runc still runs."""
    if not runtime_root.is_dir():
        return
    for state in list(runtime_root.iterdir()):
        with suppress(TimeoutError, FileNotFoundError):  # of another file system, in which there is no runc
            await run_process(["runc", "--root", runtime_root, "delete", "--force", state.name], time_limit=_LIMIT)


async def _probe(buildah: Buildah, root: Path) -> Runner:
    program = next((path for path in map(Path, _PROBES) if os.access(path, os.X_OK)), None)
    if program is None:
        return Runner(Isolation.CHROOT, root, "no static program was found to test runc with")
    reasons: list[str] = []
    with buildah.folders.scratch() as folder:
        shutil.copy(program, folder / _NAME_OF_PROBE)
        async with buildah.container(None) as name:
            await buildah.ask("copy", "--quiet", name, folder / _NAME_OF_PROBE, f"/{_NAME_OF_PROBE}")
            for isolation in Isolation:
                if isolation is Isolation.RUNC and shutil.which("runc") is None:
                    reasons.append("runc is not installed")
                    continue
                runner = Runner(isolation, root, "; ".join(reasons))
                done = await buildah.call(
                    "run", "--terminal=false", *runner.arguments, name, "--", f"/{_NAME_OF_PROBE}", "--help",
                    time_limit=_LIMIT,
                )  # fmt: skip
                if done.exit_code == 0 and done.stdout.strip():
                    return runner
                reasons.append(f"{isolation.name.lower()}: {essence(done.stderr)}")
    msg = f"commands cannot run in containers on this host: {'; '.join(reasons)}"
    raise QueryFailedError(msg, hint="Run the embedded engine as root, or use a Dagger engine.")


def _read(note: Path) -> Mapping[str, Any]:
    try:
        kept: Mapping[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept
