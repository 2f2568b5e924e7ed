from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from ci.github.run_context import ApiAccess, CommandFiles, Trigger, read_context
from pipeline.rules.errors import UsageError
from tests.pipeline.samples import OTHER_SHA, SHA

IN_ACTIONS = {
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REPOSITORY": "linkradar/linkradar",
    "GITHUB_REF": "refs/heads/master",
    "GITHUB_SHA": SHA,
    "GITHUB_ACTOR": "octocat",
    "GITHUB_TRIGGERING_ACTOR": "octocat",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_RUN_ID": "1658821493",
    "GITHUB_RUN_ATTEMPT": "1",
}


@pytest.fixture
def in_actions(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in IN_ACTIONS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_nothing_is_known_on_a_laptop() -> None:
    context = read_context()
    assert (context.trigger, context.actor, context.run_url) == (None, None, None)
    assert context.commit_message(SHA) == ""
    assert ApiAccess.read() == ApiAccess(api_url="https://api.github.com")
    assert CommandFiles.read().output is None


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*IN_ACTIONS, "GITHUB_EVENT_PATH", "GITHUB_TOKEN", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, "")
    assert read_context().trigger is None
    assert ApiAccess.read().token is None


@pytest.mark.parametrize(
    ("event", "ref", "trigger"),
    [
        ("push", "refs/heads/master", Trigger.BRANCH),
        ("push", "refs/tags/v1.2.3", Trigger.TAG),
        ("workflow_dispatch", "refs/heads/master", Trigger.DISPATCH),
        ("schedule", "refs/heads/master", Trigger.OTHER),
    ],
)
def test_what_started_the_run(in_actions: pytest.MonkeyPatch, event: str, ref: str, trigger: Trigger) -> None:
    in_actions.setenv("GITHUB_EVENT_NAME", event)
    in_actions.setenv("GITHUB_REF", ref)
    assert read_context().trigger is trigger


def test_the_page_of_the_run_is_that_of_its_attempt(in_actions: pytest.MonkeyPatch) -> None:
    assert read_context().run_url == "https://github.com/linkradar/linkradar/actions/runs/1658821493"
    in_actions.setenv("GITHUB_RUN_ATTEMPT", "3")
    in_actions.setenv("GITHUB_SERVER_URL", "https://github.example.com/")
    page = "https://github.example.com/linkradar/linkradar/actions/runs/1658821493/attempts/3"
    assert read_context().run_url == page


def test_who_ran_it_again_is_named_too(in_actions: pytest.MonkeyPatch) -> None:
    assert read_context().actor == "octocat"
    in_actions.setenv("GITHUB_TRIGGERING_ACTOR", "hubot")
    assert read_context().actor == "octocat, re-run by hubot"


def test_a_called_workflow_sees_its_callers_push(in_actions: pytest.MonkeyPatch, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"ref": "refs/heads/master", "head_commit": {"id": SHA, "message": "Save links"}}))
    in_actions.setenv("GITHUB_EVENT_PATH", str(event))
    context = read_context()
    assert context.trigger is Trigger.BRANCH
    assert context.commit_message(SHA) == "Save links"
    assert context.commit_message(OTHER_SHA) == ""


@pytest.mark.parametrize("payload", [{}, {"head_commit": None, "inputs": {"ref": "x"}}, {"schedule": "0 0 * * *"}])
def test_an_event_without_a_commit_is_fine(
    in_actions: pytest.MonkeyPatch, tmp_path: Path, payload: dict[str, object]
) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps(payload))
    in_actions.setenv("GITHUB_EVENT_PATH", str(event))
    assert read_context().commit_message(SHA) == ""


def test_an_event_file_that_is_gone_says_nothing(in_actions: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_actions.setenv("GITHUB_EVENT_PATH", str(tmp_path / "gone.json"))
    assert read_context().commit_message(SHA) == ""


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"head_commit": {"id": 1}}'])
def test_an_invalid_event_file_is_named(in_actions: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(content)
    in_actions.setenv("GITHUB_EVENT_PATH", str(event))
    with pytest.raises(UsageError, match=r"GITHUB_EVENT_PATH refers to .*event\.json"):
        read_context()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPOSITORY", "no-slash"),
        ("GITHUB_REPOSITORY", "a/b/../../c"),
        ("GITHUB_SHA", "HEAD"),
        ("GITHUB_RUN_ID", "x"),
        ("GITHUB_RUN_ID", "0"),
        ("GITHUB_RUN_ATTEMPT", "-1"),
        ("GITHUB_SERVER_URL", "javascript:alert(1)"),
        ("GITHUB_SERVER_URL", "https://a/ x"),
        ("GITHUB_REF", "refs/heads/a\nb"),
        ("GITHUB_ACTOR", "a\x1b[31m"),
    ],
)
def test_a_variable_that_github_would_not_set_is_named(in_actions: pytest.MonkeyPatch, name: str, value: str) -> None:
    in_actions.setenv(name, value)
    with pytest.raises(UsageError, match=f"Invalid value of {name}:") as raised:
        read_context()
    assert value not in str(raised.value) or value in {"x", "0"}


def test_the_token_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_secret")
    access = ApiAccess.read()
    assert access.token == SecretStr("ghs_secret")
    assert "ghs_secret" not in repr(access) + str(access) + access.model_dump_json()
    monkeypatch.setenv("GITHUB_API_URL", "https://user:ghs_secret@api.github.com")
    with pytest.raises(UsageError, match="GITHUB_API_URL") as raised:
        ApiAccess.read()
    assert "ghs_secret" not in str(raised.value)
