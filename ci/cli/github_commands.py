"""`lr-ci github outputs|summary|issue`: report a run to GitHub, from the report that it wrote."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ci.cli import options
from ci.cli.console import error_console, print_verbatim
from ci.cli.lifecycle import run_command
from ci.cli.results import print_answer
from ci.github.command_files import append, output_lines
from ci.github.deployment_issue import Deployment, DeploymentEnvironment
from ci.github.failed_log import failure_summary, read_failed_log
from ci.github.report_reader import DEFAULT_REPORT, read_report
from ci.github.run_context import ApiAccess, CommandFiles, RunContext, read_context
from ci.github.step_outputs import step_outputs
from pipeline.rules.errors import UsageError
from pipeline.rules.job_summary import render_summary
from pipeline.rules.report import BuildReport

app = typer.Typer(help="Report a run to GitHub: step outputs, job summary and deployment issues.")

Report = Annotated[
    Path,
    typer.Option(help="Report of the run; - for standard input.", allow_dash=True, metavar="FILE", show_default=True),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the result instead of writing it.")]


@app.command("outputs")
def write_outputs(*, report: Report = DEFAULT_REPORT, dry_run: DryRun = False, debug: options.Debug = False) -> None:
    """Write the step outputs digest, image_url, tags, version and report."""
    console = error_console()

    async def command() -> None:
        _write(
            output_lines(step_outputs(read_report(report))),
            "GITHUB_OUTPUT",
            CommandFiles.read().output,
            console,
            dry_run=dry_run,
        )

    run_command(command, console, debug=debug)


@app.command("summary")
def write_summary(
    *,
    report: Annotated[
        Path | None,
        typer.Option(help="Report of the run; - for standard input.", metavar="FILE", show_default=str(DEFAULT_REPORT)),
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Log of a failed run, which has no report.", metavar="FILE")] = None,
    dry_run: DryRun = False,
    debug: options.Debug = False,
) -> None:
    """Write the job summary: what the run did, or why it failed."""
    console = error_console()

    async def command() -> None:
        if report is not None and log is not None:
            msg = "--report and --log cannot be used together."
            raise UsageError(msg, hint="Use --log for a failed run, and --report for any other.")
        summary = (
            render_summary(read_report(report or DEFAULT_REPORT))
            if log is None
            else failure_summary(read_failed_log(log))
        )
        _write(summary, "GITHUB_STEP_SUMMARY", CommandFiles.read().step_summary, console, dry_run=dry_run)

    run_command(command, console, debug=debug)


@app.command("issue")
def post_issue(
    *,
    environment: Annotated[DeploymentEnvironment, typer.Option(help="Environment to deploy to.")],
    report: Report = DEFAULT_REPORT,
    dry_run: DryRun = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Open or update the issue that requests the deployment of an image, and print its URL."""
    console = error_console()

    async def command() -> None:
        context = read_context()
        deployment = Deployment(environment, read_report(report), context)
        _warn_about_commit(deployment.report, context, console)
        if dry_run:
            print_answer(_preview(deployment, json=json))
            return
        from ci.github.issue_posting import post_deployment  # noqa: PLC0415 - githubkit loads slowly, and only this needs it

        posted = await post_deployment(deployment, ApiAccess.read())
        print_verbatim(console, f"{posted.outcome.capitalize()} #{posted.number}: {posted.title}")
        print_answer(json_format.dumps(asdict(posted), indent=2) if json else posted.url)

    run_command(command, console, debug=debug)


def _preview(deployment: Deployment, *, json: bool) -> str:
    labels = [label.name for label in deployment.labels]
    if json:
        return json_format.dumps({"title": deployment.title, "labels": labels, "body": deployment.body()}, indent=2)
    return f"Title: {deployment.title}\nLabels: {', '.join(labels)}\n\n{deployment.body()}"


def _warn_about_commit(report: BuildReport, context: RunContext, console: Console) -> None:
    here = context.variables.sha
    if here is not None and here != report.commit.sha:
        print_verbatim(
            console, f"The report is of commit {report.commit.short_sha}, but this run is for commit {here[:7]}."
        )


def _write(text: str, variable: str, path: Path | None, console: Console, *, dry_run: bool) -> None:
    if path is not None and not dry_run:
        append(path, text)
        return
    print_verbatim(
        console,
        "Dry run, nothing is written:" if dry_run else f"{variable} is not set, so this is not a GitHub Actions job:",
    )
    print_answer(text.removesuffix("\n"))
