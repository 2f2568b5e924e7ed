"""Checks which engines, registry and credentials are available locally."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ci.local.engine_choice import RUNNER_HOST, dagger_program, find_dagger, find_runtime
from ci.local.run_settings import GITHUB_TOKEN
from ci.local_registry.server import status
from ci.local_registry.settings import RegistrySettings
from ci.system.binfmt import runnable_platforms
from ci.system.dagger_version import DAGGER_VERSION
from ci.system.docker_config import find_login
from ci.system.processes import run_process
from pipeline.concurrency import each
from pipeline.rules.shared_options import DEFAULT_REGISTRY
from pipeline.rules.text import quoted

_SECONDS = 10.0

_SETUP = "`make setup` installs it."


class Health(StrEnum):
    """The state of something that was checked."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


class Finding(BaseModel):
    """The result of one check.

    Attributes:
        what: What was checked.
        health: Its state.
        found: What was found.
        remedy: What to do about it; empty if nothing needs to be done.
    """

    model_config = ConfigDict(frozen=True)

    what: str
    health: Health
    found: str
    remedy: str = ""


class Examination(BaseModel):
    """The results of all checks.

    Attributes:
        findings: The results, in the order in which they are shown.
        dagger: Whether a Dagger engine is available.
        embedded: Whether the embedded engine has what it requires.
    """

    model_config = ConfigDict(frozen=True)

    findings: tuple[Finding, ...]
    dagger: bool
    embedded: bool

    @property
    def ready(self) -> bool:
        """Whether any engine can build."""
        return self.dagger or self.embedded


async def examine() -> Examination:
    """Run all checks; nothing is changed, and only a credential helper may contact another machine."""
    checks: dict[str, Callable[[], Awaitable[Finding]]] = {
        "git": lambda: _program("git", ["git", "--version"], _SETUP),
        "dagger": _dagger,
        "container runtime": _runtime,
        "root": _root,
        "platforms": _platforms,
        "buildah": lambda: _program("buildah", ["buildah", "--version"], f"The embedded engine requires it. {_SETUP}"),
        "skopeo": lambda: _program("skopeo", ["skopeo", "--version"], f"The embedded engine requires it. {_SETUP}"),
        "runc": lambda: _program("runc", ["runc", "--version"], f"Builds are not isolated without it. {_SETUP}"),
        "mmdebstrap": lambda: _program(
            "mmdebstrap", ["mmdebstrap", "--version"], f"Creates base images if Docker Hub cannot be reached. {_SETUP}"
        ),
        "docker-registry": lambda: _program(
            "docker-registry", ["docker-registry", "--version"], f"The local registry requires it. {_SETUP}"
        ),
        "local registry": _local_registry,
        "credentials": _credentials,
    }
    found: dict[str, Finding] = {}

    async def check(name: str) -> None:
        found[name] = await checks[name]()

    await each(checks, check)
    dagger, reason = await find_dagger()
    embedded = all(found[name].health is Health.OK for name in ("root", "buildah", "skopeo"))
    engine = "a Dagger engine" if dagger else "the embedded engine" if embedded else "none"
    chosen = Finding(
        what="engine", health=Health.OK if dagger or embedded else Health.BROKEN, found=f"{engine} ({reason})"
    )
    return Examination(findings=(chosen, *(found[name] for name in checks)), dagger=dagger, embedded=embedded)


async def _program(what: str, command: list[str], remedy: str) -> Finding:
    if shutil.which(command[0]) is None:
        return Finding(what=what, health=Health.MISSING, found="not installed", remedy=remedy)
    try:
        result = await run_process(command, time_limit=_SECONDS)
    except (TimeoutError, OSError) as error:
        return Finding(
            what=what, health=Health.BROKEN, found=f"cannot be started: {type(error).__name__}", remedy=remedy
        )
    version = (result.stdout or result.stderr).strip().partition("\n")[0]
    if result.exit_code != 0:
        return Finding(
            what=what, health=Health.BROKEN, found=f"exits with {result.exit_code}: {version}", remedy=remedy
        )
    return Finding(what=what, health=Health.OK, found=version)


async def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding(what="root", health=Health.OK, found="running as root")
    remedy = "The embedded engine requires root: sudo make build-and-push. A Dagger engine does not."
    return Finding(what="root", health=Health.MISSING, found=f"running as user {os.geteuid()}", remedy=remedy)


async def _platforms() -> Finding:
    """State for which platforms the embedded engine can run commands."""
    runnable = runnable_platforms()
    found = ", ".join(f"{platform}{f' ({emulator})' if emulator else ''}" for platform, emulator in runnable.items())
    remedy = "" if any(runnable.values()) else "To run commands for other processors: apt-get install qemu-user-static"
    return Finding(what="platforms", health=Health.OK, found=found, remedy=remedy)


async def _dagger() -> Finding:
    program = dagger_program()
    remedy = f"Install the Dagger CLI {DAGGER_VERSION} to use a Dagger engine; the embedded engine does not require it."
    if program is None:
        return Finding(what="dagger", health=Health.MISSING, found="not on PATH", remedy=remedy)
    return await _program("dagger", [program, "version"], remedy)


async def _runtime() -> Finding:
    if host := os.environ.get(RUNNER_HOST):
        return Finding(what="container runtime", health=Health.OK, found=f"not needed: an engine is at {host}")
    name = await find_runtime()
    if name is not None:
        return Finding(what="container runtime", health=Health.OK, found=name)
    remedy = f"A Dagger engine requires one: start Docker, or set {RUNNER_HOST} to a long-running engine."
    return Finding(what="container runtime", health=Health.MISSING, found="no runtime responds", remedy=remedy)


async def _local_registry() -> Finding:
    state = await status(RegistrySettings())
    if state.running:
        return Finding(what="local registry", health=Health.OK, found=state.url)
    return Finding(what="local registry", health=Health.MISSING, found="not running", remedy="lr-ci registry up")


async def _credentials() -> Finding:
    what = f"credentials for {DEFAULT_REGISTRY}"
    if GITHUB_TOKEN.is_set:
        return Finding(what=what, health=Health.OK, found="GITHUB_TOKEN is set")
    search = await find_login(DEFAULT_REGISTRY)
    if search.login is not None:
        return Finding(
            what=what, health=Health.OK, found=f"user {quoted(search.login.username)} in {search.login.place}"
        )
    remedy = (
        f"Run docker login {DEFAULT_REGISTRY}, or set GITHUB_TOKEN, or use --token env:NAME: "
        "a classic token with write:packages. dagger call needs --token."
    )
    if search.problems:
        return Finding(what=what, health=Health.BROKEN, found=" ".join(search.problems), remedy=remedy)
    found = "GITHUB_TOKEN is not set, and Docker's configuration has no login"
    return Finding(what=what, health=Health.MISSING, found=found, remedy=remedy)
