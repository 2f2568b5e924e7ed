"""`lr-ci registry up|down|status`: the local registry."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ci.cli import options
from ci.cli.console import error_console
from ci.cli.lifecycle import run_command
from ci.cli.results import print_answer
from ci.local_registry.server import down, status, up
from ci.local_registry.settings import DEFAULT_PORT, RegistrySettings, RegistryStatus
from ci.system.folders import base_images_folder

app = typer.Typer(help="Start, stop and inspect the local registry (Debian's docker-registry on the loopback address).")

_MEBIBYTE = 1024 * 1024

Port = Annotated[int, typer.Option(help="Port on 127.0.0.1.")]


@app.command("up")
def start(
    *,
    port: Port = DEFAULT_PORT,
    htpasswd: Annotated[
        Path | None, typer.Option(help="Require the credentials in this htpasswd file (bcrypt).")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Start the registry unless it is running, and print its host and port."""

    async def command() -> None:
        _answer(await up(RegistrySettings(port=port, htpasswd=htpasswd)), json=json)

    run_command(command, error_console(), debug=debug)


@app.command("down")
def stop(*, json: options.Json = False, debug: options.Debug = False) -> None:
    """Stop the registry and keep its images."""

    async def command() -> None:
        await down(RegistrySettings(folder=base_images_folder()))
        _answer(await down(RegistrySettings()), json=json)

    run_command(command, error_console(), debug=debug)


@app.command("status")
def show(*, json: options.Json = False, debug: options.Debug = False) -> None:
    """Print whether the registry is running, and what it contains."""

    async def command() -> None:
        _answer(await status(RegistrySettings()), json=json)

    run_command(command, error_console(), debug=debug)


def _answer(found: RegistryStatus, *, json: bool) -> None:
    if json:
        print_answer(json_format.dumps(asdict(found), indent=2))
        return
    holds = f"{found.repositories} repositories, {found.data_bytes / _MEBIBYTE:.0f} MiB"
    print_answer(f"{found.host} is running ({holds})" if found.running else f"not running ({holds})")
