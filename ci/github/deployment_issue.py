"""The deployment issue, which requests the deployment of an image: its title, labels, checklist and body.

Pure. There is one issue for each digest and environment; a hidden comment in its body identifies it. Text that people
add around our part, and the boxes that they tick, are kept when the issue is updated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ci.github.markdown import Markdown, code, render
from ci.github.run_context import RunContext
from pipeline.rules.checkout import Commit
from pipeline.rules.refs import CommitSha, parse_version
from pipeline.rules.report import BuildReport, TagOutcome
from pipeline.rules.tagging import TagKind

OUTSIDE = "not in Actions"
"""Replaces values that only GitHub Actions knows."""

_END = "<!-- end of deployment -->"
_OURS = re.compile(r"<!-- deployment environment=\S+ digest=\S+ version=(?P<version>\S*) -->")
_TICKED = re.compile(r"^\s*[-*+] \[[xX]\] (?P<item>.+?)\s*$", re.MULTILINE)


class DeploymentEnvironment(StrEnum):
    """An environment that images are deployed to."""

    STAGING = "staging"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label for issues.

    Attributes:
        name: Its name.
        color: Six hex digits.
        description: At most 100 characters.
    """

    name: str
    color: str
    description: str


DEPLOYMENT_LABEL = Label(name="deployment", color="0e8a16", description="An image that is ready for deployment")
_ENVIRONMENT_LABELS = {
    DeploymentEnvironment.STAGING: Label(name="staging", color="fbca04", description="Concerns staging"),
    DeploymentEnvironment.PRODUCTION: Label(name="production", color="d93f0b", description="Concerns production"),
}


@dataclass(frozen=True, slots=True)
class Deployment:
    """An image that is ready for deployment.

    Attributes:
        environment: The environment to deploy to.
        report: The report of the run that published it.
        context: The run of GitHub Actions that opens the issue.
    """

    environment: DeploymentEnvironment
    report: BuildReport
    context: RunContext

    @property
    def is_prerelease(self) -> bool:
        """Whether the version is a prerelease."""
        version = None if self.report.version is None else parse_version(self.report.version)
        return version is not None and not version.is_stable

    @property
    def title(self) -> str:
        """The issue's title: version or short commit, environment, and a mark for a prerelease in production."""
        what = self.report.version or self.report.commit.short_sha
        mark = " (prerelease)" if self._marked else ""
        return f"Deploy {what}{mark} to {self.environment}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The issue's labels; every deployment issue has the first."""
        return (DEPLOYMENT_LABEL, _ENVIRONMENT_LABELS[self.environment])

    @property
    def marker(self) -> str:
        """The start of the hidden comment that only this deployment's issue contains."""
        return f"<!-- deployment environment={self.environment} digest={self.report.digest} "

    def is_for_another_version(self, previous: str) -> bool:
        """Return whether an issue's body is about a different version of the same digest."""
        found = _OURS.search(previous)
        return found is not None and found["version"] != (self.report.version or "")

    def body(self, previous: str = "", *, keep_ticks: bool = True) -> str:
        """Return the issue's body.

        Args:
            previous: The body of the existing issue; text around our part of it is kept.
            keep_ticks: Whether boxes that are ticked there stay ticked.
        """
        previous = previous.replace("\r\n", "\n")
        before, begin, rest = previous.partition(self.marker)
        ours, _, after = rest.partition(_END) if begin else ("", "", "")
        ticked = {found["item"] for found in _TICKED.finditer(ours)} if keep_ticks else set()
        return before + self._part(ticked).removesuffix("\n") + (after or "\n")

    @property
    def _marked(self) -> bool:
        return self.is_prerelease and self.environment is DeploymentEnvironment.PRODUCTION

    def _part(self, ticked: set[str]) -> str:
        report, variables = self.report, self.context.variables
        commit = report.commit
        message = commit.message or self.context.commit_message(commit.sha)
        named = [tag for tag in report.tags if tag.outcome is not TagOutcome.KEPT]
        return render(
            "deployment-issue.md.j2",
            {
                "begin": Markdown(f"{self.marker}version={report.version or ''} -->"),
                "end": Markdown(_END),
                "environment": self.environment.value,
                "prerelease": self._marked,
                "report": report,
                "subject": Commit(sha=CommitSha(commit.sha), message=message).subject or "unknown",
                "tags": Markdown(", ".join(code(tag.name) for tag in named)),
                "kept": [tag for tag in report.tags if tag.outcome is TagOutcome.KEPT],
                "version_tag": next((tag for tag in named if tag.kind is TagKind.VERSION), None),
                "actor": self.context.actor or OUTSIDE,
                "trigger": "" if self.context.trigger is None else self.context.trigger.value,
                "run": OUTSIDE if variables.run_id is None else f"Run {variables.run_id}",
                "run_url": self.context.run_url,
                "ticked": ticked,
            },
        )
