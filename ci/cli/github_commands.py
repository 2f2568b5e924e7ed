"""`lr-ci github outputs|summary|issue`: report a run to GitHub, from the report that it wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ci import deferred
from ci.cli.command import command
from ci.cli.console import error_console, print_verbatim
from ci.cli.extra_options import CommonOptions, DebugOptions
from ci.cli.printing import print_answer
from ci.github.command_files import append, output_lines
from ci.github.deployment_issue import Deployment, DeploymentEnvironment
from ci.github.failed_log import failure_summary, read_failed_log
from ci.github.report_reader import DEFAULT_REPORT, read_report
from ci.github.run_context import ApiAccess, CommandFiles, RunContext, read_context
from ci.github.step_outputs import step_outputs
from pipeline.rules.errors import UsageError
from pipeline.rules.job_summary import render_summary
from pipeline.rules.refs import SHORT_SHA_LENGTH
from pipeline.rules.report import BuildReport

app = typer.Typer()

_REPORT = "Report of the run; - for standard input."


@dataclass(frozen=True, kw_only=True)
class DryRunOptions(DebugOptions):
    """The options of every command here."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the result instead of writing it.")] = False


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The report of a run that succeeded."""

    report: Annotated[Path, typer.Option(help=_REPORT, allow_dash=True, metavar="FILE")] = DEFAULT_REPORT


@dataclass(frozen=True, kw_only=True)
class OutputsCommand(ReportOptions, DryRunOptions):
    """The options of `lr-ci github outputs`."""


@dataclass(frozen=True, kw_only=True)
class SummaryCommand(DryRunOptions):
    """The options of `lr-ci github summary`."""

    report: Annotated[
        Path | None, typer.Option(help=_REPORT, allow_dash=True, metavar="FILE", show_default=str(DEFAULT_REPORT))
    ] = None
    log: Annotated[Path | None, typer.Option(help="Log of a failed run, which has no report.", metavar="FILE")] = None


@dataclass(frozen=True, kw_only=True)
class IssueCommand(ReportOptions, DryRunOptions, CommonOptions):
    """The options of `lr-ci github issue`."""

    environment: Annotated[DeploymentEnvironment, typer.Option(help="Environment to deploy to.")]


@command(app, "outputs")
async def write_outputs(options: OutputsCommand) -> None:
    """Write the step outputs digest, image_url, tags, version and report."""
    text = output_lines(step_outputs(read_report(options.report)))
    _write(text, "GITHUB_OUTPUT", CommandFiles.read().output, options)


@command(app, "summary")
async def write_summary(options: SummaryCommand) -> None:
    """Write the job summary: what the run did, or why it failed."""
    if options.report is not None and options.log is not None:
        msg = "--report and --log cannot be used together."
        raise UsageError(msg, hint="Use --log for a failed run, and --report for any other.")
    if options.log is None:
        text = render_summary(read_report(options.report or DEFAULT_REPORT))
    else:
        text = failure_summary(read_failed_log(options.log))
    _write(text, "GITHUB_STEP_SUMMARY", CommandFiles.read().step_summary, options)


@command(app, "issue")
async def post_issue(options: IssueCommand) -> None:
    """Open or update the issue that requests the deployment of an image, and print its URL."""
    context = read_context()
    deployment = Deployment(options.environment, read_report(options.report), context)
    _warn_about_commit(deployment.report, context)
    if options.dry_run:
        print_answer(_preview(deployment, options))
        return
    posted = await deferred.post_deployment(deployment, ApiAccess.read())
    print_verbatim(error_console(), f"{posted.outcome.capitalize()} #{posted.number}: {posted.title}")
    print_answer(posted.model_dump_json(indent=2) if options.json else posted.url)


def _preview(deployment: Deployment, options: IssueCommand) -> str:
    labels = [label.name for label in deployment.labels]
    if options.json:
        return json.dumps({"title": deployment.title, "labels": labels, "body": deployment.body()}, indent=2)
    return f"Title: {deployment.title}\nLabels: {', '.join(labels)}\n\n{deployment.body()}"


def _warn_about_commit(report: BuildReport, context: RunContext) -> None:
    here = context.variables.sha
    if here is not None and here != report.commit.sha:
        this = here[:SHORT_SHA_LENGTH]
        text = f"The report is for commit {report.commit.short_sha}, but this run is for commit {this}."
        print_verbatim(error_console(), text)


def _write(text: str, variable: str, path: Path | None, options: DryRunOptions) -> None:
    if path is not None and not options.dry_run:
        append(path, text)
        return
    missing = f"{variable} is not set, so this is not a GitHub Actions job:"
    print_verbatim(error_console(), "Dry run, nothing is written:" if options.dry_run else missing)
    print_answer(text.removesuffix("\n"))
