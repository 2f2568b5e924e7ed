from __future__ import annotations

import pytest

from tests.access_log import Request
from tests.registry_fixtures import RunningRegistry, registry_with_auth

__all__ = ["registry_with_auth"]


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
