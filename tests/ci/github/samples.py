"""Reports, contexts and deployments for tests."""

from __future__ import annotations

from ci.github.deployment_issue import Deployment, DeploymentEnvironment
from ci.github.run_context import EventFile, RunContext, RunVariables
from pipeline.rules.report import BuildReport
from tests.pipeline.samples import SHA, build_report

STAGING, PRODUCTION = DeploymentEnvironment.STAGING, DeploymentEnvironment.PRODUCTION


def branch_report(ref: str = "refs/heads/master", message: str = "Save links\n") -> BuildReport:
    """Return the report of a push to a branch."""
    report = build_report()
    commit = report.commit.model_copy(update={"message": message})
    return report.model_copy(update={"ref": ref, "version": None, "tags": report.tags[:1], "commit": commit})


def version_report(version: str = "v1.2.3") -> BuildReport:
    """Return the report of a release, whose `latest` was kept."""
    report = build_report()
    sha, release, latest = report.tags
    named = release.model_copy(update={"name": version, "reference": f"{report.image}:{version}"})
    tags = (sha, named, latest) if "-" not in version else (sha, named)
    return report.model_copy(update={"ref": f"refs/tags/{version}", "version": version, "tags": tags})


def run_context(actor: str = "octocat", run_id: int = 7) -> RunContext:
    """Return the context of a push."""
    variables = RunVariables.model_construct(
        event_name="push",
        repository="linkradar/linkradar",
        ref="refs/heads/master",
        sha=SHA,
        actor=actor,
        triggering_actor=actor,
        server_url="https://github.com",
        run_id=run_id,
        run_attempt=1,
    )
    return RunContext(variables=variables)


def outside_context() -> RunContext:
    """Return the context outside Actions."""
    return RunContext(variables=RunVariables.read(), event=EventFile())


def deployment(
    environment: DeploymentEnvironment = STAGING, report: BuildReport | None = None, context: RunContext | None = None
) -> Deployment:
    """Return an image that is ready for deployment."""
    return Deployment(environment, report or branch_report(), context or run_context())
