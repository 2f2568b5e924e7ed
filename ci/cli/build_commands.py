"""`lr-ci plan`, `build`, `build-and-push`, `verify` and `shell`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ci import deferred
from ci.cli.command import command
from ci.cli.console import ConsoleProgress, error_console, print_verbatim
from ci.cli.extra_options import CommonOptions, DebugOptions, EngineOptions, ImageChoice, run_settings
from ci.cli.invocation import Invocation
from ci.cli.printing import headline, plan_text, print_answer, print_tags
from ci.cli.report_file import forget_report, report_path, write_report
from pipeline.rules.errors import PipelineError
from pipeline.rules.report import image_origin
from pipeline.rules.runtime_checks import RuntimeChecks, parse_command
from pipeline.rules.shared_options import (
    AccessOptions,
    BuildOptions,
    CommitOptions,
    ImageOptions,
    PlanOptions,
    PublishOptions,
    VerifyOptions,
)

if TYPE_CHECKING:
    from ci.cli.publications import Prepare
    from ci.local.local_run import Run


@dataclass(frozen=True, kw_only=True)
class PlanCommand(BuildOptions, ImageOptions, ImageChoice, CommitOptions, PlanOptions, AccessOptions, CommonOptions):
    """The options of `lr-ci plan`."""


@dataclass(frozen=True, kw_only=True)
class BuildCommand(BuildOptions, ImageOptions, ImageChoice, CommitOptions, EngineOptions, CommonOptions):
    """The options of `lr-ci build`."""

    output: Annotated[Path | None, typer.Option(help="Write the image to this file, as an OCI archive.")] = None


@dataclass(frozen=True, kw_only=True)
class BuildAndPushCommand(
    BuildOptions, ImageOptions, ImageChoice, CommitOptions, PublishOptions, AccessOptions, EngineOptions, CommonOptions
):
    """The options of `lr-ci build-and-push`."""

    report: Annotated[
        Path | None,
        typer.Option(
            help="Write the whole report to this file too, as JSON; with --all, each image's to FILE with its name: "
            "report.NAME.json for report.json.",
            metavar="FILE",
        ),
    ] = None
    all: Annotated[bool, typer.Option("--all", help="Publish every image that dagger.json has as a toolchain.")] = False


@dataclass(frozen=True, kw_only=True)
class VerifyCommand(
    VerifyOptions, ImageOptions, ImageChoice, CommitOptions, AccessOptions, EngineOptions, CommonOptions
):
    """The options of `lr-ci verify`."""


@dataclass(frozen=True, kw_only=True)
class ShellCommand(BuildOptions, ImageChoice, CommitOptions, EngineOptions, DebugOptions):
    """The options of `lr-ci shell`."""

    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND...]", help="Command to run in the image instead of a shell."),
    ] = None


def register(app: typer.Typer) -> None:
    """Add the commands to the application, in the order in which the help shows them."""
    for function in (plan, build, build_and_push, verify, shell):
        command(app)(function)


async def plan(options: PlanCommand) -> None:
    """Show what would be built and how it would be tagged, without an engine.

    Credentials and network access are needed with --online alone, which also shows what would be done with each tag.
    """
    settings = run_settings(options)
    planned = await settings.plan()
    with ConsoleProgress(error_console(), show_output=options.debug) as progress:
        report = await deferred.preview_run(settings, planned, progress) if options.online else planned.report()
    for refusal in report.refusals:
        print_verbatim(error_console(), ("Publishing would be refused: ", "red"), refusal)
    for notice in planned.notices:
        print_verbatim(error_console(), notice)
    if report.outcome is not None:
        print_verbatim(error_console(), f"The image would be {image_origin(report.outcome, report.relabelled_from)}.")
    if report.latest_condition is not None:
        print_verbatim(error_console(), f"{report.latest_condition}.")
    print_answer(report.model_dump_json(indent=2) if options.json else plan_text(report))


async def build(options: BuildCommand) -> None:
    """Build the image without publishing it, and print its tag, or the file that it is written to."""
    run = await deferred.prepare_run(run_settings(options))
    with ConsoleProgress(error_console(), show_output=options.debug) as progress:
        await run.build(progress, options.output)
    report = run.plan.report()
    answer = report.references[0] if options.output is None else str(options.output)
    print_answer(report.model_dump_json(indent=2) if options.json else answer)


async def build_and_push(invocation: Invocation[BuildAndPushCommand]) -> int | None:
    """Build the image, publish it under all its tags, and print its digest.

    A commit is built once: if its image is already in the registry, only tags are written. With --all, each line of the
    answer is the name of an image and its digest; an image that fails stops no other, and the exit code is the worst.
    """
    if invocation.values["all"]:
        return await _publish_all(invocation)
    options = invocation.options()
    console = error_console()
    forget_report(options.report)
    run = await deferred.prepare_run(run_settings(options))
    with ConsoleProgress(console, show_output=options.debug) as progress:
        async with deferred.engine_session(options.engine, [run.dockerfile], progress) as session:
            report = await run.publish(progress, session)
    print_verbatim(console, headline(report))
    print_tags(console, report)
    print_answer(report.model_dump_json(indent=2) if options.json else report.digest)
    write_report(options.report, report)
    return None


async def _publish_all(invocation: Invocation[BuildAndPushCommand]) -> int:
    values, console = invocation.values, error_console()
    images = {image.name: image for image in invocation.images()}
    for name in images:
        forget_report(report_path(values["report"], name))

    def prepare(name: str | None) -> Prepare:
        async def prepared() -> Run:
            return await deferred.prepare_run(run_settings(invocation.options(images[name])))

        return prepared

    def failed(name: str | None, error: Exception) -> None:
        kind = "" if isinstance(error, PipelineError) else f"Internal error: {type(error).__name__}: "
        print_verbatim(console, (f"error: {'' if name is None else f'{name}: '}{kind}{error}", "red"))

    with ConsoleProgress(console, show_output=values["debug"]) as progress:
        runs = {name: prepare(name) for name in images}
        report = await deferred.publish_all(runs, values["engine"], progress, failed)
    published = {each.image: each.report for each in report.images if each.report is not None}
    for name, each in published.items():
        print_verbatim(console, headline(each))
        print_tags(console, each)
        write_report(report_path(values["report"], name), each)
    lines = [f"{'' if name is None else f'{name} '}{each.digest}" for name, each in published.items()]
    if values["json"] or lines:
        print_answer(report.model_dump_json(indent=2) if values["json"] else "\n".join(lines))
    return report.exit_code


async def verify(options: VerifyCommand) -> None:
    """Pull the published image by digest, run it, and print what it did.

    Unless options state what it must do, its own configuration does: its HEALTHCHECK, else the ports that it exposes,
    else its command, which must run for some seconds or end with 0.
    """
    command = None if options.command is None else parse_command(options.command)
    checks = RuntimeChecks(command, options.path, options.port)
    run = await deferred.prepare_run(run_settings(options), builds=False)
    with ConsoleProgress(error_console(), show_output=options.debug) as progress:
        verified = await run.verify(progress, options.digest, checks)
    print_answer(verified.model_dump_json(indent=2) if options.json else verified.summary())


async def shell(options: ShellCommand) -> None:
    """Build the image and open a shell in it, or run a command."""
    run = await deferred.prepare_run(run_settings(options))
    with ConsoleProgress(error_console(), show_output=options.debug) as progress:
        printed = await run.run_inside(progress, options.arguments or [])
    if printed is not None:
        print_answer(printed.removesuffix("\n"))
