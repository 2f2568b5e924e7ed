"""The issue that asks a person to deploy an image: its title, its labels and its body.

Pure. One issue stands for one digest in one environment, and a comment in its body that nobody sees says which. What a
person wrote around our part, and the boxes they ticked in it, stay when it is written again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ci.github.event import RunContext
from ci.github.markdown import Markdown, code, render
from pipeline.rules.checkout import Commit
from pipeline.rules.refs import CommitSha, parse_version
from pipeline.rules.report import BuildReport, TagOutcome
from pipeline.rules.tagging import TagKind

OUTSIDE = "not in Actions"
"""What stands for a value that only GitHub Actions knows."""

_END = "<!-- end of deployment -->"
_OURS = re.compile(r"<!-- deployment environment=\S+ digest=\S+ version=(?P<version>\S*) -->")
_TICKED = re.compile(r"^\s*[-*+] \[[xX]\] (?P<item>.+?)\s*$", re.MULTILINE)


class DeploymentEnvironment(StrEnum):
    """Where an image is deployed."""

    STAGING = "staging"
    PRODUCTION = "production"


class Label(BaseModel):
    """A label of a repository.

    Attributes:
        name: Its name.
        color: Six hex digits.
        description: At most 100 characters.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    color: str
    description: str


DEPLOYMENT_LABEL = Label(name="deployment", color="0e8a16", description="An image that is ready to be deployed")
_ENVIRONMENT_LABELS = {
    DeploymentEnvironment.STAGING: Label(name="staging", color="fbca04", description="Concerns staging"),
    DeploymentEnvironment.PRODUCTION: Label(name="production", color="d93f0b", description="Concerns production"),
}
_CHECKLISTS = {
    DeploymentEnvironment.STAGING: (
        "The commit is the one that shall run on staging",
        "The image is pulled on the staging server",
        "It is deployed with the command above",
        "`/up` answers, and the log shows no errors",
    ),
    DeploymentEnvironment.PRODUCTION: (
        "This digest ran on staging without complaint",
        "The digest that runs on production now is written down, to go back to",
        "The image is pulled on the production server",
        "It is deployed with the command above",
        "`/up` answers, and the log shows no errors",
    ),
}


@dataclass(frozen=True, slots=True)
class Deployment:
    """An image that is ready for an environment.

    Attributes:
        environment: Where it goes.
        report: The run that published it.
        context: What GitHub Actions knows of this run.
    """

    environment: DeploymentEnvironment
    report: BuildReport
    context: RunContext

    @property
    def is_prerelease(self) -> bool:
        """Whether it is a version that is no release yet."""
        version = None if self.report.version is None else parse_version(self.report.version)
        return version is not None and not version.is_stable

    @property
    def title(self) -> str:
        """The issue's title: version or short commit, environment, and the mark of a prerelease in production."""
        what = self.report.version or self.report.commit.short_sha
        mark = " (prerelease)" if self._marked else ""
        return f"Deploy {what}{mark} to {self.environment}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels that it carries; every deployment has the first."""
        return (DEPLOYMENT_LABEL, _ENVIRONMENT_LABELS[self.environment])

    @property
    def marker(self) -> str:
        """What the body of its issue holds, and that of no other."""
        return f"<!-- deployment environment={self.environment} digest={self.report.digest} "

    def is_for_another_version(self, previous: str) -> bool:
        """Say whether an issue's body stands for these bytes under another version."""
        found = _OURS.search(previous)
        return found is not None and found["version"] != (self.report.version or "")

    def body(self, previous: str = "", *, keep_ticks: bool = True) -> str:
        """Write the issue's body.

        Args:
            previous: The body that the issue has; what stands around our part of it stays.
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
                "subject": Commit(sha=CommitSha(commit.sha), message=message).subject or "not known",
                "tags": Markdown(", ".join(code(tag.name) for tag in named)),
                "kept": [tag for tag in report.tags if tag.outcome is TagOutcome.KEPT],
                "version_tag": next((tag for tag in named if tag.kind is TagKind.VERSION), None),
                "actor": self.context.actor or OUTSIDE,
                "trigger": "" if self.context.trigger is None else self.context.trigger.value,
                "run": OUTSIDE if variables.run_id is None else f"Run {variables.run_id}",
                "run_url": self.context.run_url,
                "checklist": [
                    (Markdown("x" if item in ticked else " "), Markdown(item)) for item in _CHECKLISTS[self.environment]
                ],
            },
        )
