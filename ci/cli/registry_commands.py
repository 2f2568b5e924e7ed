"""`lr-ci registry up|down|status`: the local registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ci.cli.command import command
from ci.cli.extra_options import CommonOptions
from ci.cli.printing import print_answer
from ci.local_registry.server import down, status, up
from ci.local_registry.settings import DEFAULT_PORT, RegistrySettings, RegistryStatus
from ci.system.folders import base_images_folder

app = typer.Typer()

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class UpCommand(CommonOptions):
    """The options of `lr-ci registry up`."""

    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = DEFAULT_PORT
    htpasswd: Annotated[
        Path | None, typer.Option(help="Require the credentials in this htpasswd file (bcrypt).", metavar="FILE")
    ] = None


@command(app, "up")
async def start(options: UpCommand) -> None:
    """Start the registry unless it is running, and print its host and port."""
    _print(await up(RegistrySettings(port=options.port, htpasswd=options.htpasswd)), options)


@command(app, "down")
async def stop(options: CommonOptions) -> None:
    """Stop the registry and keep its images."""
    await down(RegistrySettings(folder=base_images_folder()))
    _print(await down(RegistrySettings()), options)


@command(app, "status")
async def show(options: CommonOptions) -> None:
    """Print whether the registry is running, and what it contains."""
    _print(await status(RegistrySettings()), options)


def _print(found: RegistryStatus, options: CommonOptions) -> None:
    if options.json:
        print_answer(found.model_dump_json(indent=2))
        return
    contents = f"{found.repositories} repositories, {found.data_bytes / _MEBIBYTE:.0f} MiB"
    print_answer(f"{found.host} is running ({contents})" if found.running else f"not running ({contents})")
