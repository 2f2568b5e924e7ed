"""Client for the part of GitHub's REST API that deployment issues need, on top of githubkit.

Answers are parsed into our own models, which contain only the fields that are used: githubkit's models contain every
field, and reject answers of a newer or older GitHub server.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal, TypeVar

import httpx
from githubkit import GitHub, Response, TokenAuthStrategy
from githubkit.exception import GitHubException, RequestFailed
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from ci.github.deployment_issue import Label
from ci.github.failures import NetworkError, api_error
from ci.github.retry import Limits, RetryPolicy
from ci.github.run_context import ApiAccess
from pipeline.rules.errors import AuthError, PipelineError, UsageError
from pipeline.rules.image_name import is_loopback

T = TypeVar("T")

_PAGE = 100
_MOST_PAGES = 100
_CONNECT_SECONDS = 10.0
_USER_AGENT = "backend-pipeline"


class Issue(BaseModel):
    """An issue, with the fields that are used.

    Attributes:
        id: Its id, which is unique across repositories.
        number: Its number in the repository.
        title: Its title.
        body: Its text, in Markdown.
        state: Whether it is open.
        html_url: Its web page.
        pull_request: Set for a pull request, which the API lists among issues.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    number: int
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    html_url: str
    pull_request: object | None = None


_ISSUE = TypeAdapter(Issue)
_ISSUES = TypeAdapter(list[Issue])


class IssuesApi:
    """The issues and labels of one repository.

    Args:
        github: The client, which retries what can be retried.
        owner: The repository's owner.
        name: The repository's name.
        token: The token, which is hidden in errors.
    """

    def __init__(self, github: GitHub[TokenAuthStrategy], owner: str, name: str, token: SecretStr) -> None:
        self._token = token
        self._issues = github.rest.issues
        self._owner = owner
        self._name = name

    async def with_label(self, label: str, since: datetime | None) -> list[Issue]:
        """Return every issue with a label, open or closed, oldest first.

        Args:
            label: The label's name.
            since: Only return issues that were updated at or after this time, in UTC.
        """
        found: list[Issue] = []
        # In the format that the API documents; githubkit formats a datetime with a space.
        further: dict[str, Any] = {} if since is None else {"since": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
        for page in range(1, _MOST_PAGES + 1):
            response = await self._answer(
                self._issues.async_list_for_repo(
                    self._owner,
                    self._name,
                    labels=label,
                    state="all",
                    sort="created",
                    direction="asc",
                    per_page=_PAGE,
                    page=page,
                    **further,
                )
            )
            issues = self._read(_ISSUES, response)
            found += [issue for issue in issues if issue.pull_request is None]
            if "next" not in response.raw_response.links:
                return found
        msg = f"{self._owner}/{self._name} has more than {_PAGE * _MOST_PAGES} issues with the label {label}."
        raise UsageError(msg, hint="Remove the label from old issues.")

    async def create(self, title: str, body: str, labels: list[str]) -> Issue:
        """Open an issue.

        Raises:
            UnknownOutcomeError: It may have been opened: check before retrying.
        """
        request = self._issues.async_create(self._owner, self._name, title=title, body=body, labels=[*labels])
        return self._read(_ISSUE, await self._answer(request))

    async def update(self, number: int, **changes: Any) -> Issue:  # noqa: ANN401 - as githubkit types it
        """Change an issue.

        Args:
            number: The issue's number.
            changes: New values by the API's field names: `title`, `body`, `state`, …
        """
        request = self._issues.async_update(self._owner, self._name, number, **changes)
        return self._read(_ISSUE, await self._answer(request))

    async def ensure_label(self, label: Label) -> None:
        """Create a label unless one of that name exists; another job may do so at the same time."""
        there = self._issues.async_get_label(self._owner, self._name, label.name)
        if await self._answer_unless(httpx.codes.NOT_FOUND, there) is None:
            made = self._issues.async_create_label(
                self._owner, self._name, name=label.name, color=label.color, description=label.description
            )
            await self._answer_unless(httpx.codes.UNPROCESSABLE_ENTITY, made)

    async def _answer(self, request: Awaitable[Response[Any, Any]]) -> Response[Any, Any]:
        try:
            return await request
        except (GitHubException, ValueError, OverflowError) as error:  # the last two: an invalid Retry-After
            raise api_error(error, f"{self._owner}/{self._name}", self._token) from error

    async def _answer_unless(self, status: int, request: Awaitable[Response[Any, Any]]) -> Response[Any, Any] | None:
        """Wait for an answer, or return None if GitHub answers with this status."""
        try:
            return await self._answer(request)
        except PipelineError as error:
            if isinstance(error.__cause__, RequestFailed) and error.__cause__.response.status_code == status:
                return None
            raise

    def _read(self, model: TypeAdapter[T], response: Response[Any, Any]) -> T:
        try:
            return model.validate_json(response.raw_response.content)
        except ValidationError as error:
            msg = f"{response.raw_request.url.host} sent an answer that is not from GitHub's API."
            raise NetworkError(msg, hint="Check GITHUB_API_URL, and any proxy in between.") from error


@asynccontextmanager
async def issues_api(access: ApiAccess, limits: Limits) -> AsyncIterator[IssuesApi]:
    """Open a client for a repository.

    Args:
        access: The repository and the token.
        limits: Limits on time and retries.

    Raises:
        AuthError: The token is missing.
        UsageError: The repository is missing, or the token would be sent without TLS.
    """
    if access.repository is None:
        msg = "The repository of the issue is unknown: GITHUB_REPOSITORY is not set."
        raise UsageError(msg, hint="Set GITHUB_REPOSITORY to owner/name, or use --dry-run.")
    if access.token is None:
        msg = f"A token is required to open an issue in {access.repository}."
        raise AuthError(msg, hint="Set GITHUB_TOKEN to the job's token (`permissions: issues: write`).")
    url = httpx.URL(access.api_url)
    local = is_loopback(f"[{url.host}]" if ":" in url.host else url.host)
    if url.scheme != "https" and not local:
        msg = f"GITHUB_API_URL refers to {url.host} without TLS; the token was not sent."
        raise UsageError(msg, hint="Use its https address.")
    owner, _, name = access.repository.partition("/")
    github = GitHub(
        TokenAuthStrategy(access.token.get_secret_value()),
        base_url=access.api_url,
        user_agent=_USER_AGENT,
        timeout=httpx.Timeout(limits.request, connect=min(_CONNECT_SECONDS, limits.request)),
        ssl_verify=ssl.create_default_context(),
        trust_env=not local,
        http_cache=False,
        auto_retry=RetryPolicy(limits),
    )
    async with github:
        yield IssuesApi(github, owner, name, access.token)
