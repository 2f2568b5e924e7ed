"""What GitHub Actions tells a job: which event started it, for which commit, by whom, and in which run.

A workflow that is called by another (`workflow_call`) sees its caller's event, so there is no kind for that. Outside of
Actions nothing of this is known, which is fine for a dry run. The variables are those of GitHub's "Default environment
variables", the file that of "Webhook events and payloads".
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ci.github.urls import WEB_URL
from pipeline.rules.errors import UsageError

_LARGEST_EVENT = 32 * 1024 * 1024  # GitHub's own limit for a payload is 25 MB
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _printable(text: str) -> str:
    if _HIDDEN.search(text):
        msg = "must not hold control characters"
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
    DISPATCH = "started by hand"
    OTHER = "another event"


class _Variables(BaseSettings):
    """Reads `GITHUB_…` variables; an error never shows what was in them."""

    model_config = SettingsConfigDict(
        env_prefix="GITHUB_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    @classmethod
    def read(cls) -> Self:
        """Read them.

        Raises:
            UsageError: One of them is not what GitHub writes there.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = f"GITHUB_{first['loc'][0]}".upper() if first["loc"] else "GITHUB_…"
            msg = f"The variable {name} is not what GitHub Actions sets: {first['msg']}."
            raise UsageError(msg, hint="Leave it unset outside of Actions, or give it the value of a run.") from None


class CommandFiles(_Variables):
    """The files that a step speaks to the runner by.

    Attributes:
        output: Where step outputs go.
        step_summary: Where the job's summary goes.
    """

    output: Path | None = None
    step_summary: Path | None = None


class ApiAccess(_Variables):
    """Where GitHub's REST API is, and what opens it.

    Attributes:
        api_url: Its address; a GitHub Enterprise server has one of its own.
        repository: `owner/name`.
        token: The job's token.
    """

    api_url: _Url = "https://api.github.com"
    repository: _Repository | None = None
    token: SecretStr | None = None


class RunVariables(_Variables):
    """What the environment says of the run."""

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
    """The commit that a push brought, as the event tells of it."""

    model_config = ConfigDict(frozen=True)

    id: str
    message: str = ""


class EventFile(BaseModel):
    """The part of an event's payload that is read."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    head_commit: HeadCommit | None = None


class RunContext(BaseModel):
    """The run that a report is shown for.

    Attributes:
        variables: What the environment says.
        event: What the event's file says.
    """

    model_config = ConfigDict(frozen=True)

    variables: RunVariables
    event: EventFile = EventFile()

    @property
    def trigger(self) -> Trigger | None:
        """What started the run, or None outside of Actions."""
        match self.variables.event_name:
            case None:
                return None
            case "push":
                return Trigger.TAG if (self.variables.ref or "").startswith("refs/tags/") else Trigger.BRANCH
            case "workflow_dispatch" | "repository_dispatch":
                return Trigger.DISPATCH
            case _:
                return Trigger.OTHER

    @property
    def actor(self) -> str | None:
        """Who started the run, and who ran it again, where that is someone else."""
        first, again = self.variables.actor, self.variables.triggering_actor
        return first if first is None or again in {None, first} else f"{first}, run again by {again}"

    @property
    def run_url(self) -> str | None:
        """The page of this attempt of the run."""
        if self.variables.repository is None or self.variables.run_id is None:
            return None
        server = self.variables.server_url.rstrip("/")
        page = f"{server}/{self.variables.repository}/actions/runs/{self.variables.run_id}"
        return page if self.variables.run_attempt == 1 else f"{page}/attempts/{self.variables.run_attempt}"

    def commit_message(self, sha: str) -> str:
        """Return the message of a commit where the event tells it, else nothing."""
        head = self.event.head_commit
        return head.message if head is not None and head.id == sha else ""


def read_context() -> RunContext:
    """Read what the environment and the event's file say.

    Raises:
        UsageError: A variable or the file is not what GitHub writes there.
    """
    variables = RunVariables.read()
    path = variables.event_path
    if path is None or not path.is_file():
        return RunContext(variables=variables)
    try:
        if path.stat().st_size > _LARGEST_EVENT:
            msg = "it is larger than any event"
            raise ValueError(msg)  # noqa: TRY301 - one message for whatever is wrong with the file
        event = EventFile.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"GITHUB_EVENT_PATH names {path}, which is not an event as GitHub writes it."
        raise UsageError(msg, hint="Leave it unset outside of Actions.") from error
    return RunContext(variables=variables, event=event)
