from __future__ import annotations

import logging
import socket
import time
import traceback
from collections.abc import Callable

import anyio
import pytest
from pydantic import SecretStr

from ci.github.deployment_issue import Deployment
from ci.github.failures import NetworkError
from ci.github.issue_posting import IssueOutcome, PostedIssue, post_deployment
from ci.github.retry import Limits
from ci.github.run_context import ApiAccess
from pipeline.concurrency import each
from pipeline.rules.errors import AuthError, PipelineError, UsageError
from pipeline.rules.exit_codes import ExitCode
from tests.ci.github.conftest import TOKEN
from tests.ci.github.samples import PRODUCTION, STAGING, branch_report, deployment, run_context, version_report
from tests.github_api import REPOSITORY, GitHubApi
from tests.github_faults import Fault
from tests.pipeline.samples import DIGEST, OTHER_DIGEST

ISSUES = "/issues"
Post = Callable[..., PostedIssue]


@pytest.fixture
def post(api: GitHubApi, limits: Limits) -> Post:
    """Posts a deployment to the server, as the command does."""

    def run(wanted: Deployment | None = None, given: Limits = limits) -> PostedIssue:
        return anyio.run(post_deployment, wanted or deployment(), _access(api.url), given)

    return run


def _access(url: str) -> ApiAccess:
    return ApiAccess(api_url=url, repository=REPOSITORY, token=SecretStr(TOKEN))


def _deployment_of(digest: str) -> Deployment:
    report = branch_report()
    reference = f"{report.image}@{digest}"
    return deployment(report=report.model_copy(update={"digest": digest, "reference": reference}))


def test_the_first_run_opens_the_issue_with_its_labels(api: GitHubApi, post: Post) -> None:
    posted = post()
    (issue,) = api.state.issues
    assert posted == PostedIssue(
        number=1, url=issue["html_url"], title="Deploy 9c68c4a to staging", outcome=IssueOutcome.OPENED
    )
    assert issue["body"] == deployment().body()
    assert [label["name"] for label in issue["labels"]] == ["deployment", "staging"]
    assert all(len(label["color"]) == 6 and label["description"] for label in api.state.labels)


def test_a_second_run_updates_it_and_keeps_ticks_notes_and_labels(api: GitHubApi, post: Post) -> None:
    post()
    api.state.issues[0]["body"] = "Mine.\r\n" + api.state.issues[0]["body"].replace("- [ ]", "- [x]", 1)
    api.state.issues[0]["labels"].append({"name": "urgent"})
    posted = post(deployment(context=run_context(run_id=8)))
    (issue,) = api.state.issues
    assert (posted.number, posted.outcome) == (1, IssueOutcome.UPDATED)
    assert issue["body"].startswith("Mine.\n<!-- deployment")
    assert issue["body"].count("- [x]") == 1
    assert "Run 8" in issue["body"]
    assert issue["labels"][-1] == {"name": "urgent"}


def test_a_closed_issue_stays_closed_for_the_same_version(api: GitHubApi, post: Post) -> None:
    post()
    api.state.issues[0]["state"] = "closed"
    assert post().outcome is IssueOutcome.UPDATED
    assert api.state.issues[0]["state"] == "closed"


def test_a_closed_issue_opens_again_for_another_version_of_the_same_bytes(api: GitHubApi, post: Post) -> None:
    post(deployment(PRODUCTION, version_report("v1.2.3-rc.1")))
    api.state.issues[0] |= {"state": "closed", "body": api.state.issues[0]["body"].replace("- [ ]", "- [x]")}
    posted = post(deployment(PRODUCTION, version_report()))
    (issue,) = api.state.issues
    assert posted.outcome is IssueOutcome.REOPENED
    assert (issue["state"], issue["title"]) == ("open", "Deploy v1.2.3 to production")
    assert "- [x]" not in issue["body"]


def test_each_environment_and_digest_has_an_issue_of_its_own(api: GitHubApi, post: Post) -> None:
    for wanted in (deployment(), deployment(PRODUCTION, version_report()), _deployment_of(OTHER_DIGEST)):
        assert post(wanted).outcome is IssueOutcome.OPENED
    assert len(api.state.issues) == 3


def test_the_issue_is_found_behind_many_others(api: GitHubApi, post: Post) -> None:
    for number in range(250):
        api.add_issue(
            "Deploy", f"<!-- deployment environment=staging digest=sha256:{number:064} version= -->", ["deployment"]
        )
    api.add_issue("Mine", deployment().body(), ["deployment"], state="closed")
    assert post().number == 251
    assert api.asked("GET", ISSUES) == 3


def test_pull_requests_and_issues_without_the_label_are_not_it(api: GitHubApi, post: Post) -> None:
    api.add_issue("A pull request", deployment().body(), ["deployment"], pull_request={"url": "x"})
    api.add_issue("Anybody's", deployment().body(), ["bug"])
    assert post().number == 3


def test_issues_from_long_before_the_commit_are_not_asked_for(api: GitHubApi, post: Post) -> None:
    post()
    assert "since=2025-11-02T14%3A30%3A05Z" in api.state.requests[0]["query"]
    for issue in api.state.issues:
        issue["updated_at"] = "2025-11-03T14:31:00Z"
    assert post().number == 1


def test_a_label_that_is_there_is_left_as_it_is(api: GitHubApi, post: Post) -> None:
    api.state.labels.append({"name": "deployment", "color": "000000", "description": "Ours"})
    post()
    assert api.state.labels[0]["color"] == "000000"
    assert api.asked("POST", "/labels") == 1


def test_a_label_that_another_job_makes_meanwhile_is_fine(api: GitHubApi, limits: Limits) -> None:
    wanted = [deployment(), _deployment_of(OTHER_DIGEST)]
    api.meet("GET", "/labels/staging", 2)

    async def both() -> None:
        await each(wanted, lambda one: _post_quietly(one, api, limits))

    anyio.run(both)
    assert [issue["number"] for issue in api.state.issues] == [1, 2]
    assert sorted(label["name"] for label in api.state.labels) == ["deployment", "staging"]
    assert [one["status"] for one in api.state.requests if one["path"].endswith("/labels")].count(422) >= 1


async def _post_quietly(wanted: Deployment, api: GitHubApi, limits: Limits) -> None:
    await post_deployment(wanted, _access(api.url), limits)


def test_two_jobs_at_once_leave_one_open_issue(api: GitHubApi, limits: Limits) -> None:
    api.meet("GET", ISSUES, 2)
    posted: list[PostedIssue] = []

    async def one(run_id: int) -> None:
        posted.append(await post_deployment(deployment(context=run_context(run_id=run_id)), _access(api.url), limits))

    async def both() -> None:
        await each([7, 8], one)

    anyio.run(both)
    first, second = api.state.issues
    assert {issue.number for issue in posted} == {1}
    assert (first["state"], second["state"], second["state_reason"]) == ("open", "closed", "duplicate")
    assert second["body"].startswith("Duplicate of #1\n")


def test_a_later_run_closes_a_duplicate_that_was_left(api: GitHubApi, post: Post) -> None:
    for _ in range(2):
        api.add_issue("Deploy", deployment().body(), ["deployment"])
    assert post().number == 1
    assert [issue["state"] for issue in api.state.issues] == ["open", "closed"]
    patches = api.asked("PATCH", "/issues/2")
    post()
    assert api.asked("PATCH", "/issues/2") == patches


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    "fault", [Fault.BAD_GATEWAY, Fault.DROP, Fault.DROP_AFTER, Fault.SECONDARY_LIMIT, Fault.SILENT_LIMIT]
)
@pytest.mark.parametrize("request_line", ["GET /issues", "GET /labels/deployment", "POST /labels", "POST /issues"])
def test_a_fault_that_passes_leaves_one_issue(
    api: GitHubApi, post: Post, request_line: str, fault: Fault, times: int
) -> None:
    method, path = request_line.split()
    api.fail(fault, method, path, times)
    posted = post()
    assert len(api.state.issues) == 1
    assert (posted.number, api.state.issues[0]["body"]) == (1, deployment().body())
    assert sorted(label["name"] for label in api.state.labels) == ["deployment", "staging"]


@pytest.mark.parametrize("fault", [Fault.BAD_GATEWAY, Fault.DROP_AFTER, Fault.SECONDARY_LIMIT])
def test_a_fault_that_passes_does_not_stop_an_update(api: GitHubApi, post: Post, fault: Fault) -> None:
    post()
    api.fail(fault, "PATCH", "/issues/1", 2)
    assert post(deployment(context=run_context(run_id=8))).outcome is IssueOutcome.UPDATED
    assert "Run 8" in api.state.issues[0]["body"]


def test_retry_after_is_waited_for(api: GitHubApi, post: Post) -> None:
    api.fail(Fault.TOO_MANY, "POST", ISSUES)
    begin = time.monotonic()
    post()
    assert time.monotonic() - begin >= 1  # longer on a busy machine
    assert api.asked("POST", ISSUES) == 2


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault.UNAUTHORIZED, AuthError, "rejected the token (HTTP 401: Bad credentials"),
        (Fault.FORBIDDEN, AuthError, "no permission to write issues in linkradar/linkradar (HTTP 403: Resource not"),
        (Fault.NOT_FOUND, AuthError, "Repository linkradar/linkradar not found, or not visible to the token"),
        (Fault.GONE, UsageError, "Issues are disabled in linkradar/linkradar"),
        (Fault.INVALID, NetworkError, "refused GET /repos/linkradar/linkradar/issues (HTTP 422"),
        (Fault.SLOW_LIMIT, NetworkError, "requests a wait of 3600 s"),
        (Fault.BAD_RETRY_AFTER, NetworkError, "invalid answer"),
        (Fault.PORTAL, NetworkError, "not from GitHub's API"),
    ],
)
def test_a_permanent_failure_is_reported_at_once(
    api: GitHubApi, post: Post, fault: Fault, error: type[PipelineError], says: str
) -> None:
    api.fail(fault, "GET", ISSUES, -1)
    with pytest.raises(error) as raised:
        post()
    assert says in raised.value.message
    assert api.asked("GET", ISSUES) == 1
    _says_how_to_go_on(raised.value)


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN])
@pytest.mark.parametrize(("method", "path"), [("GET", ISSUES), ("POST", "/labels"), ("POST", ISSUES)])
def test_a_token_without_the_permission_is_told_of_it(
    api: GitHubApi, post: Post, fault: Fault, method: str, path: str
) -> None:
    api.fail(fault, method, path, -1)
    with pytest.raises(AuthError) as raised:
        post()
    assert "`permissions: issues: write`" in raised.value.hint
    assert api.state.issues == []


@pytest.mark.parametrize(("method", "path"), [("GET", ISSUES), ("POST", "/labels"), ("POST", ISSUES)])
@pytest.mark.parametrize("fault", [Fault.BAD_GATEWAY, Fault.DROP])
def test_a_fault_that_stays_ends_after_a_few_tries(
    api: GitHubApi, post: Post, fault: Fault, method: str, path: str
) -> None:
    api.fail(fault, method, path, -1)
    with pytest.raises(NetworkError) as raised:
        post()
    assert api.asked(method, path) == 4 if path == ISSUES else 4 <= api.asked(method, path) <= 8
    assert raised.value.exit_code is ExitCode.NETWORK
    _says_how_to_go_on(raised.value)


def test_an_api_that_is_down_leaves_the_way_to_go_on(limits: Limits) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NetworkError, match="could not be reached") as raised:
            anyio.run(post_deployment, deployment(), _access(f"http://127.0.0.1:{port}"), limits)
    _says_how_to_go_on(raised.value)


def test_an_api_that_does_not_answer_is_given_up(api: GitHubApi, post: Post) -> None:
    api.fail(Fault.STALL, "GET", ISSUES, -1)
    with pytest.raises(NetworkError, match="did not answer in time"):
        post(None, Limits(retries=1, first_wait=0.01, request=0.2, total=20))
    with pytest.raises(NetworkError, match=r"within 0 s") as raised:
        post(None, Limits(request=10, total=0.3))
    _says_how_to_go_on(raised.value)


@pytest.mark.parametrize("fault", list(Fault))
def test_no_token_shows_in_an_error_or_a_log(
    api: GitHubApi, post: Post, fault: Fault, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    api.fail(fault, "GET", ISSUES, -1)
    shown = ""
    try:
        post(None, Limits(retries=1, first_wait=0.01, longest_wait=0.1, request=0.5, total=5))
    except PipelineError as error:
        shown = str(error) + repr(error) + "".join(traceback.format_exception(error))
    assert shown
    assert TOKEN not in shown + caplog.text + "".join(capfd.readouterr())
    assert TOKEN not in str(api.state)


@pytest.mark.parametrize("url", ["http://api.example.com", "http://169.254.169.254/api"])
def test_the_token_does_not_travel_without_tls(url: str) -> None:
    with pytest.raises(UsageError, match="without TLS; the token was not sent"):
        anyio.run(post_deployment, deployment(), _access(url))


def test_without_a_token_or_a_repository_nothing_is_asked() -> None:
    with pytest.raises(AuthError, match="A token is required") as raised:
        anyio.run(post_deployment, deployment(), ApiAccess(repository=REPOSITORY))
    assert "GITHUB_TOKEN" in raised.value.hint
    with pytest.raises(UsageError, match="GITHUB_REPOSITORY is not set"):
        anyio.run(post_deployment, deployment(), ApiAccess(token=SecretStr(TOKEN)))


def test_other_environments_do_not_share_an_issue(api: GitHubApi, post: Post) -> None:
    post(deployment(STAGING, version_report()))
    post(deployment(PRODUCTION, version_report()))
    assert [issue["title"] for issue in api.state.issues] == ["Deploy v1.2.3 to staging", "Deploy v1.2.3 to production"]


def _says_how_to_go_on(error: PipelineError) -> None:
    assert f"The image is published ({DIGEST}): run this job again to open the issue." in error.hint
    assert len(str(error).splitlines()) <= 2
