"""Stands for the Dagger CLI where no engine is available: `python -m tests.workflows.dagger_shim` takes its arguments.

It does what the workflows ask for, over the embedded engine, and refuses anything else: `dagger check` runs the checks
that the module declares, `dagger run PROGRAM` runs a program in a session, with its output and exit code.
`STAND_IN_REGISTRY` names the registry that stands for ghcr.io.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from dagger import dag
from dagger.mod._exceptions import FunctionError

from ci.engine.events import Event, OutputLine
from ci.local.base_image_mirrors import prepare_base_images
from ci.local.dagger_session import open_session
from ci.local.engine_choice import RUNNER_HOST, EngineKind
from ci.settings.images import choose_image, read_images
from pipeline.module import BackendPipeline
from pipeline.rules.shared_options import BuildOptions

REGISTRY = "STAND_IN_REGISTRY"
_GLOBAL_FLAGS = ("--progress=plain", "--progress=dots", "-s", "--silent")


class UsageError(Exception):
    """The arguments are not what the Dagger CLI takes."""


def checks(owner: type) -> Iterator[str]:
    """Name the functions that are checks."""
    for attribute, value in vars(owner).items():
        if hasattr(value, "__dagger_check__"):
            yield attribute


async def _check(top: Path) -> None:
    async with _engine(top / BuildOptions.source):
        # Texts alone: what the engine makes of other types is a matter of `ci.settings`.
        settings = {name: each.value for name, each in read_images(top)[0].settings("").items()}
        texts = {name: value for name, value in settings.items() if isinstance(value, str)}
        values: dict[str, Any] = {"ws": dag.current_workspace(), "registry": os.environ[REGISTRY]} | texts
        module = BackendPipeline(**values)
        for name in checks(BackendPipeline):
            await getattr(module, name)()
            _say(f"{name.replace('_', '-')} OK")


async def _run(command: list[str], top: Path) -> int:
    settings = choose_image(read_images(top), os.environ.get("LR_CI_IMAGE") or None).settings("")
    configured = str(settings["source"].value) if "source" in settings else BuildOptions.source
    async with _engine(top / (os.environ.get("LR_CI_SOURCE") or configured)):
        done = await anyio.run_process(command, stdout=None, stderr=None, env=_environment(), check=False)
    return done.returncode


def _environment() -> dict[str, str]:
    """Return the environment of a program: the session, and the registry that stands for ghcr.io, with its token."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if not variables.get("LR_CI_REGISTRY"):
        variables |= {"LR_CI_REGISTRY": variables[REGISTRY], "LR_CI_TOKEN": "env:GITHUB_TOKEN"}
    return variables


@asynccontextmanager
async def _engine(source: Path) -> AsyncIterator[None]:
    """Open a session with the embedded engine, whose output is shown as the CLI shows a real one's."""
    mirrors = await prepare_base_images(source / "Dockerfile", _say)
    async with open_session(EngineKind.EMBEDDED, _show, mirrors):
        yield


def _show(event: Event) -> None:
    if isinstance(event, OutputLine):
        _say(f"1   : | {event.text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what the CLI does


async def run(arguments: list[str], top: Path) -> int:
    """Do what the arguments say, and return the exit code of the CLI."""
    try:
        _look_for_engine()
        return await _dispatch(arguments, top)
    except (UsageError, FunctionError) as error:
        _say(f"Error: {error}")
        return 1
    except Exception:  # noqa: BLE001 - the CLI ends every error like that
        traceback.print_exc()
        return 1


def _look_for_engine() -> None:
    """Read where the engine is, as the CLI does: a variable that is set and empty names no engine."""
    host = os.environ.get(RUNNER_HOST)
    if host is not None and "://" not in host:
        msg = f"parse runner host {host!r}"
        raise UsageError(msg)
    _say(f"engine: {host or 'one of its own'}")


async def _dispatch(arguments: list[str], top: Path) -> int:
    while arguments and arguments[0] in _GLOBAL_FLAGS:
        arguments.pop(0)
    match arguments:
        case ["check"]:
            await _check(top)
            return 0
        case ["run", program, *rest] if not program.startswith("-"):
            return await _run([program, *rest], top)
        case _:
            msg = f"the stand-in does not know: dagger {' '.join(arguments)}"
            raise UsageError(msg)


if __name__ == "__main__":
    sys.exit(anyio.run(run, sys.argv[1:], Path.cwd()))
