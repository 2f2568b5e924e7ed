"""`lr-ci plan`, `build`, `build-and-push`, `verify` and `shell`: thin over `ci.local.local_run`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ci.cli import options
from ci.cli.console import ConsoleProgress, error_console, print_verbatim
from ci.cli.lifecycle import run_command
from ci.cli.report_file import forget_report, write_report
from ci.cli.results import headline, plan_text, print_answer, print_tags
from ci.local.engine_choice import EngineChoice
from pipeline.rules.planning import DEFAULT_NAME, DEFAULT_REGISTRY, RunRequest
from pipeline.rules.runtime_checks import (
    DEFAULT_COMMAND,
    DEFAULT_PATH,
    DEFAULT_PORT,
    HIGHEST_PORT,
    RuntimeChecks,
    parse_command,
)
from pipeline.rules.tagging import LatestPolicy

_DOCKERFILE = "Dockerfile"


def register(app: typer.Typer) -> None:
    """Add the commands to the application, in the order that the help shows them."""
    app.command()(plan)
    app.command()(build)
    app.command("build-and-push")(build_and_push)
    app.command()(verify)
    app.command()(shell)


def plan(
    *,
    registry: options.Registry = DEFAULT_REGISTRY,
    owner: options.Owner = None,
    name: options.Name = DEFAULT_NAME,
    ref: options.Ref = None,
    sha: options.Sha = None,
    latest: options.Latest = LatestPolicy.AUTO,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what would be built and how it would be tagged; needs no credentials, no engine and no network."""
    console = error_console()

    async def command() -> None:
        request = RunRequest(registry=registry, owner=owner, name=name, ref=ref, sha=sha, latest=latest)
        settled = await options.run_settings(request, source=None, dockerfile=_DOCKERFILE).plan()
        for notice in settled.notices:
            print_verbatim(console, notice)
        report = settled.report()
        print_answer(report.model_dump_json(indent=2) if json else plan_text(report))

    run_command(command, console, debug=debug)


def build(
    *,
    output: Annotated[Path | None, typer.Option(help="Write the image to this file, as an OCI archive.")] = None,
    source: options.Source = None,
    dockerfile: options.Dockerfile = _DOCKERFILE,
    registry: options.Registry = DEFAULT_REGISTRY,
    owner: options.Owner = None,
    name: options.Name = DEFAULT_NAME,
    platform: options.Platform = None,
    ref: options.Ref = None,
    sha: options.Sha = None,
    engine: options.Engine = EngineChoice.AUTO,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Build the image with its labels and publish nothing; the answer is the tag that it would get, or the file."""
    console = error_console()

    async def command() -> None:
        request = RunRequest(registry=registry, owner=owner, name=name, ref=ref, sha=sha)
        settings = options.run_settings(request, source=source, dockerfile=dockerfile, platform=platform, engine=engine)
        run = await settings.prepare()
        with ConsoleProgress(console, show_output=debug) as progress:
            await run.build(progress, output)
        report = run.plan.report()
        answer = str(output) if output is not None else report.references[0]
        print_answer(report.model_dump_json(indent=2) if json else answer)

    run_command(command, console, debug=debug)


def build_and_push(
    *,
    source: options.Source = None,
    dockerfile: options.Dockerfile = _DOCKERFILE,
    registry: options.Registry = DEFAULT_REGISTRY,
    owner: options.Owner = None,
    name: options.Name = DEFAULT_NAME,
    platform: options.Platform = None,
    ref: options.Ref = None,
    sha: options.Sha = None,
    latest: options.Latest = LatestPolicy.AUTO,
    allow_dirty: options.AllowDirty = False,
    username: options.Username = None,
    token: options.Token = None,
    engine: options.Engine = EngineChoice.AUTO,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write the whole report to this file too, as JSON.", metavar="FILE")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Build the image, publish it under all its tags, and print its digest.

    A commit is built once: where its image is in the registry already, only tags are written.
    """
    console = error_console()

    async def command() -> None:
        forget_report(report_file)
        request = RunRequest(
            registry=registry, owner=owner, name=name, ref=ref, sha=sha, latest=latest, allow_dirty=allow_dirty
        )
        run = await options.run_settings(
            request,
            source=source,
            dockerfile=dockerfile,
            platform=platform,
            username=username,
            token=token,
            engine=engine,
        ).prepare()
        with ConsoleProgress(console, show_output=debug) as progress:
            report = await run.publish(progress)
        print_verbatim(console, headline(report))
        print_tags(console, report)
        print_answer(report.model_dump_json(indent=2) if json else report.digest)
        write_report(report_file, report)

    run_command(command, console, debug=debug)


def verify(
    *,
    digest: Annotated[
        str | None,
        typer.Option(help="Image to verify.", show_default="the one that this commit's tag names"),
    ] = None,
    command: Annotated[str, typer.Option(help="Command that must end well in it, quoted as for a shell.")] = shlex.join(
        DEFAULT_COMMAND
    ),
    path: Annotated[str, typer.Option(help="Path that its server must answer.")] = DEFAULT_PATH,
    port: Annotated[int, typer.Option(help="Port that its server listens on.", min=1, max=HIGHEST_PORT)] = DEFAULT_PORT,
    registry: options.Registry = DEFAULT_REGISTRY,
    owner: options.Owner = None,
    name: options.Name = DEFAULT_NAME,
    ref: options.Ref = None,
    sha: options.Sha = None,
    username: options.Username = None,
    token: options.Token = None,
    engine: options.Engine = EngineChoice.AUTO,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Pull the published image by digest, run it, and say what it answered."""
    console = error_console()

    async def verify_it() -> None:
        checks = RuntimeChecks(command=parse_command(command), path=path, port=port)
        request = RunRequest(registry=registry, owner=owner, name=name, ref=ref, sha=sha)
        settings = options.run_settings(
            request, source=None, dockerfile=_DOCKERFILE, username=username, token=token, engine=engine
        )
        run = await settings.prepare(builds=False)
        with ConsoleProgress(console, show_output=debug) as progress:
            verified = await run.verify(progress, digest, checks)
        print_answer(verified.model_dump_json(indent=2) if json else verified.summary(checks))

    run_command(verify_it, console, debug=debug)


def shell(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND...]", help="Command to run in the image instead of a shell."),
    ] = None,
    *,
    source: options.Source = None,
    dockerfile: options.Dockerfile = _DOCKERFILE,
    platform: options.Platform = None,
    ref: options.Ref = None,
    sha: options.Sha = None,
    engine: options.Engine = EngineChoice.AUTO,
    debug: options.Debug = False,
) -> None:
    """Build the image and open a shell in it, or run a command there."""
    console = error_console()

    async def command() -> None:
        request = RunRequest(ref=ref, sha=sha)
        settings = options.run_settings(request, source=source, dockerfile=dockerfile, platform=platform, engine=engine)
        run = await settings.prepare()
        with ConsoleProgress(console, show_output=debug) as progress:
            printed = await run.run_inside(progress, arguments or [])
        if printed is not None:
            print_answer(printed.removesuffix("\n"))

    run_command(command, console, debug=debug)
