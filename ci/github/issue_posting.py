"""Opens or updates the deployment issue: one for each digest and environment, whatever fails or runs twice.

GitHub has neither locks nor "create if missing": two jobs that search at the same time both find nothing. So each job
searches again after it opened an issue; the oldest issue is kept, and newer ones are closed as duplicates.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import anyio
from pydantic import BaseModel, ConfigDict

from ci.github.client import Issue, IssuesApi, issues_api
from ci.github.deployment_issue import DEPLOYMENT_LABEL, Deployment
from ci.github.failures import NetworkError, UnknownOutcomeError
from ci.github.retry import Limits
from ci.github.run_context import ApiAccess
from pipeline.concurrency import each
from pipeline.rules.errors import PipelineError

_CLOCKS_DIFFER = timedelta(days=1)


class IssueOutcome(StrEnum):
    """What a run did with the deployment issue."""

    OPENED = "opened"
    UPDATED = "updated"
    REOPENED = "reopened"
    """It was closed, and about a different version of the same digest."""


class PostedIssue(BaseModel):
    """A deployment's issue, after a run.

    Attributes:
        number: Its number in the repository.
        url: Its web page.
        title: Its title.
        outcome: What the run did with it.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    url: str
    title: str
    outcome: IssueOutcome


async def post_deployment(deployment: Deployment, access: ApiAccess, limits: Limits | None = None) -> PostedIssue:
    """Open the deployment's issue, or update the existing one.

    Args:
        deployment: The image and the environment.
        access: The repository and the token.
        limits: Limits on time and retries.

    Raises:
        AuthError: The token is missing, or has no permission to write issues.
        UsageError: Issues are disabled, or the repository is unknown.
        NetworkError: GitHub failed; another run opens the issue, once.
    """
    given = limits or Limits()
    try:
        with anyio.fail_after(given.total):
            async with issues_api(access, given) as api:
                return await _post(deployment, api, given)
    except TimeoutError as error:
        msg = f"The issue could not be opened or updated within {given.total:.0f} s."
        raise NetworkError(msg, hint=_next_step(deployment)) from error
    except PipelineError as error:
        raise type(error)(error.message, hint=f"{error.hint} {_next_step(deployment)}".strip()) from error


async def _post(deployment: Deployment, api: IssuesApi, limits: Limits) -> PostedIssue:
    for count in range(limits.retries):
        try:
            return await _search_and_post(deployment, api)
        except UnknownOutcomeError:
            await anyio.sleep(limits.backoff(count))
    return await _search_and_post(deployment, api)


async def _search_and_post(deployment: Deployment, api: IssuesApi) -> PostedIssue:
    found = await _issues_of(deployment, api)
    if found:
        return await _update(deployment, found, api)
    await each(deployment.labels, api.ensure_label)
    names = [label.name for label in deployment.labels]
    created = await api.create(deployment.title, deployment.body(), names)
    others = [issue for issue in await _issues_of(deployment, api) if issue.number < created.number]
    if others:
        await _close_as_duplicate(created, others[0], api)
        return _posted(others[0], IssueOutcome.UPDATED)
    return _posted(created, IssueOutcome.OPENED)


async def _issues_of(deployment: Deployment, api: IssuesApi) -> list[Issue]:
    """Return the issues of this digest and environment, oldest first."""
    # An issue is newer than its commit, so years of older ones need not be searched.
    time, now = deployment.report.commit.time, datetime.now(UTC)
    since = None if time is None or time > now else time - _CLOCKS_DIFFER
    issues = await api.with_label(DEPLOYMENT_LABEL.name, since)
    of_this = [issue for issue in issues if deployment.marker in (issue.body or "")]
    return sorted(of_this, key=lambda issue: issue.number)


async def _update(deployment: Deployment, found: list[Issue], api: IssuesApi) -> PostedIssue:
    issue, *younger = found
    for duplicate in younger:
        if duplicate.state == "open":
            await _close_as_duplicate(duplicate, issue, api)
    previous = issue.body or ""
    if issue.state == "closed" and deployment.is_for_another_version(previous):
        body = deployment.body(previous, keep_ticks=False)
        await api.update(issue.number, title=deployment.title, body=body, state="open", state_reason="reopened")
        return _posted(issue, IssueOutcome.REOPENED, deployment.title)
    await api.update(issue.number, title=deployment.title, body=deployment.body(previous))
    return _posted(issue, IssueOutcome.UPDATED, deployment.title)


async def _close_as_duplicate(issue: Issue, original: Issue, api: IssuesApi) -> None:
    body = f"Duplicate of #{original.number}\n\n{issue.body or ''}"
    await api.update(issue.number, body=body, state="closed", state_reason="duplicate", duplicate_issue_id=original.id)


def _posted(issue: Issue, outcome: IssueOutcome, title: str | None = None) -> PostedIssue:
    return PostedIssue(number=issue.number, url=issue.html_url, title=title or issue.title, outcome=outcome)


def _next_step(deployment: Deployment) -> str:
    return f"The image is published ({deployment.report.digest}): run this job again to open the issue."
