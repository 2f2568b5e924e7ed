from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.local_registry.access_log import Request, parse_access_line, read_access_log
from tests.registry_fixtures import RunningRegistry


@pytest.mark.registry
def test_requests_are_told_as_they_were_made(registry_with_auth: RunningRegistry) -> None:
    with registry_with_auth.client() as client:
        client.headers["User-Agent"] = 'a "quoted" agent'
        client.get("/v2/a/tags/list", params={"n": "5"})
        client.head("/v2/a/manifests/b")
        client.post("/v2/a/blobs/uploads/")
    agent = 'a \\"quoted\\" agent'
    assert registry_with_auth.requests() == [
        Request("GET", "/v2/a/tags/list", 404, "n=5", agent),
        Request("HEAD", "/v2/a/manifests/b", 404, "", agent),
        Request("POST", "/v2/a/blobs/uploads/", 202, "", agent),
    ]


def test_a_log_that_is_not_there_yet_holds_no_request(tmp_path: Path) -> None:
    assert read_access_log(tmp_path / "access.log") == []


@given(st.text())
def test_any_other_line_is_no_request(line: str) -> None:
    assert parse_access_line(line) is None or " HTTP/" in line
