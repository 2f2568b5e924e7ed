"""The run of GitHub Actions that a job belongs to: its event, commit, actor and page.

A workflow that is called by another (`workflow_call`) gets its caller's event, so there is no trigger for that. Outside
Actions all of it is unknown, which is enough for a dry run. The variables are described in GitHub's "Default
environment variables", the file in "Webhook events and payloads".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ci.github.markdown import WEB_URL
from pipeline.rules.errors import UsageError
from pipeline.rules.refs import TAGS
from pipeline.rules.text import has_control_characters

_LARGEST_EVENT = 32 * 1024 * 1024  # GitHub's own limit for a payload is 25 MB


def _printable(text: str) -> str:
    if has_control_characters(text):
        msg = "must not contain control characters"
        raise ValueError(msg)
    return text


_Line = Annotated[str, AfterValidator(_printable)]
_Url = Annotated[str, StringConstraints(pattern=rf"^{WEB_URL.pattern}$")]
_Repository = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$")]
_Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


class Trigger(StrEnum):
    """What started a run."""

    BRANCH = "push of a branch"
    TAG = "push of a tag"
    DISPATCH = "manual run"
    OTHER = "other event"


class _Variables(BaseSettings):
    """Reads `GITHUB_…` variables; errors never contain their values."""

    model_config = SettingsConfigDict(
        env_prefix="GITHUB_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    @classmethod
    def read(cls) -> Self:
        """Read the variables.

        Raises:
            UsageError: The value of a variable is invalid.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = f"GITHUB_{first['loc'][0]}".upper() if first["loc"] else "GITHUB_…"
            msg = f"Invalid value of {name}: {first['msg']}."
            raise UsageError(msg, hint="Unset it outside Actions, or set it to the value of a run.") from None


class CommandFiles(_Variables):
    """The files through which a step passes its results to the runner.

    Attributes:
        output: The file for step outputs.
        step_summary: The file for the job summary.
    """

    output: Path | None = None
    step_summary: Path | None = None


class ApiAccess(_Variables):
    """The repository on GitHub, and the access to its REST API.

    Attributes:
        api_url: The URL of the API; a GitHub Enterprise server has its own.
        repository: `owner/name`.
        token: The job's token.
    """

    api_url: _Url = "https://api.github.com"
    repository: _Repository | None = None
    token: SecretStr | None = None


class RunVariables(_Variables):
    """The environment variables that describe the run."""

    event_name: _Line | None = None
    event_path: Path | None = None
    repository: _Repository | None = None
    ref: _Line | None = None
    sha: _Sha | None = None
    actor: _Line | None = None
    triggering_actor: _Line | None = None
    server_url: _Url = "https://github.com"
    run_id: int | None = Field(default=None, ge=1)
    run_attempt: int = Field(default=1, ge=1)


class HeadCommit(BaseModel):
    """The head commit of a push event."""

    model_config = ConfigDict(frozen=True)

    id: str
    message: str = ""


class EventFile(BaseModel):
    """The part of an event's payload that is used."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    head_commit: HeadCommit | None = None


@dataclass(frozen=True, slots=True)
class RunContext:
    """The run of GitHub Actions that a report is rendered for.

    Attributes:
        variables: The environment variables.
        event: The event's payload.
    """

    variables: RunVariables
    event: EventFile = field(default_factory=EventFile)

    @property
    def trigger(self) -> Trigger | None:
        """What started the run, or None outside Actions."""
        match self.variables.event_name:
            case None:
                return None
            case "push":
                return Trigger.TAG if (self.variables.ref or "").startswith(TAGS) else Trigger.BRANCH
            case "workflow_dispatch" | "repository_dispatch":
                return Trigger.DISPATCH
            case _:
                return Trigger.OTHER

    @property
    def actor(self) -> str | None:
        """The user who started the run, and the user who re-ran it if that is someone else."""
        first, again = self.variables.actor, self.variables.triggering_actor
        return first if first is None or again in {None, first} else f"{first}, re-run by {again}"

    @property
    def run_url(self) -> str | None:
        """The web page of this attempt of the run."""
        if self.variables.repository is None or self.variables.run_id is None:
            return None
        server = self.variables.server_url.rstrip("/")
        page = f"{server}/{self.variables.repository}/actions/runs/{self.variables.run_id}"
        return page if self.variables.run_attempt == 1 else f"{page}/attempts/{self.variables.run_attempt}"

    def commit_message(self, sha: str) -> str:
        """Return the message of a commit if the event contains it, otherwise an empty text."""
        head = self.event.head_commit
        return head.message if head is not None and head.id == sha else ""


def read_context() -> RunContext:
    """Read the environment variables and the event's file.

    Raises:
        UsageError: A variable or the file is invalid.
    """
    variables = RunVariables.read()
    path = variables.event_path
    if path is None or not path.is_file():
        return RunContext(variables=variables)
    try:
        if path.stat().st_size > _LARGEST_EVENT:
            msg = "too large for an event"
            raise ValueError(msg)  # noqa: TRY301 - the same message as for any other error in the file
        event = EventFile.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"GITHUB_EVENT_PATH refers to {path}, which is not a valid event."
        raise UsageError(msg, hint="Unset it outside Actions.") from error
    return RunContext(variables=variables, event=event)
