"""The options that several commands share, each described once."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ci.local.engine_choice import EngineChoice
from ci.local.local_run import RunSettings
from ci.system.secret_source import SecretSource, SecretSourceError, parse_secret_source
from pipeline.rules.errors import UsageError
from pipeline.rules.planning import RunRequest
from pipeline.rules.runtime_checks import Expectation
from pipeline.rules.tagging import LatestPolicy
from pipeline.rules.text import quoted

_IMAGE = "Image"
_GIT = "Git"
_ACCESS = "Access"
_PLATFORM = re.compile(r"[a-z]+/[a-z0-9]+(?:/v[0-9]+)?")

Source = Annotated[
    Path | None,
    typer.Option(help="Folder to build.", show_default="backend at the top of the checkout", rich_help_panel=_IMAGE),
]
Dockerfile = Annotated[str, typer.Option(help="Path of the Dockerfile inside the source.", rich_help_panel=_IMAGE)]
Registry = Annotated[
    str,
    typer.Option(help="Registry, with a port if it needs one.", envvar="LR_CI_REGISTRY", rich_help_panel=_IMAGE),
]
Owner = Annotated[
    str | None,
    typer.Option(
        help="Owner of the image.",
        show_default="the origin's owner when that is on GitHub",
        envvar="LR_CI_OWNER",
        rich_help_panel=_IMAGE,
    ),
]
Name = Annotated[str, typer.Option(help="Name of the image.", envvar="LR_CI_NAME", rich_help_panel=_IMAGE)]
Platform = Annotated[
    str | None,
    typer.Option(help="Platform to build for.", show_default="this machine's own", rich_help_panel=_IMAGE),
]
Ref = Annotated[
    str | None,
    typer.Option(help="Full git ref.", show_default="what is checked out", metavar="REF", rich_help_panel=_GIT),
]
Sha = Annotated[
    str | None,
    typer.Option(help="Full commit.", show_default="what is checked out", metavar="SHA", rich_help_panel=_GIT),
]
Latest = Annotated[
    LatestPolicy,
    typer.Option(
        help="When a release also becomes latest; auto: when no higher one is published.",
        case_sensitive=False,
        rich_help_panel=_GIT,
    ),
]
AllowDirty = Annotated[
    bool,
    typer.Option(
        "--allow-dirty",
        help="Publish a working tree that no commit holds, under a sha-…-dirty-… tag alone.",
        rich_help_panel=_GIT,
    ),
]
Username = Annotated[
    str | None,
    typer.Option(help="User at the registry.", show_default="the owner", rich_help_panel=_ACCESS),
]
Token = Annotated[
    str | None,
    typer.Option(
        help="Where the registry's token is: env:NAME, file:PATH or cmd:COMMAND.",
        show_default="env:GITHUB_TOKEN for ghcr.io when that is set",
        metavar="PLACE",
        rich_help_panel=_ACCESS,
    ),
]
Engine = Annotated[
    EngineChoice,
    typer.Option(help="Engine that builds.", envvar="LR_CI_ENGINE", rich_help_panel=_ACCESS),
]
Json = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show all output of the engine, and tracebacks of errors.", envvar="LR_CI_DEBUG"),
]


def run_settings(
    request: RunRequest,
    *,
    source: Path | None,
    dockerfile: str,
    platform: str | None = None,
    username: str | None = None,
    token: str | None = None,
    engine: EngineChoice = EngineChoice.AUTO,
) -> RunSettings:
    """Put the options of a command together.

    Raises:
        UsageError: `--token` does not name a place.
    """
    if platform is not None and _PLATFORM.fullmatch(platform) is None:
        msg = f"--platform {quoted(platform)} is none."
        raise UsageError(msg, hint="Give one such as linux/amd64 or linux/arm64.")
    return RunSettings(
        request=request,
        source=source,
        dockerfile=dockerfile,
        platform=platform,
        username=username,
        token=None if token is None else _token_source(token),
        engine=engine,
    )


def _token_source(text: str) -> SecretSource:
    try:
        return parse_secret_source(text)
    except SecretSourceError as error:
        msg = f"--token: {error.message}"
        raise UsageError(msg, hint=error.hint) from None


def expectation(command: str, path: str, port: int) -> Expectation:
    """Put together what an image must do.

    Raises:
        UsageError: The command or the path cannot be meant.
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        msg = f"--command {quoted(command)} cannot be read: {error}."
        raise UsageError(msg, hint="Quote it as for a shell.") from error
    if not words:
        msg = "--command is empty."
        raise UsageError(msg, hint="Give one that ends well in the image, such as 'bin/rails --version' or true.")
    if not path.startswith("/"):
        msg = f"--path {quoted(path)} does not begin with a slash."
        raise UsageError(msg)
    return Expectation(command=words, path=path, port=port)
