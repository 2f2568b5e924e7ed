from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ci.github.retry import Limits
from tests.github_api import GitHubApi, running_api

TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(autouse=True)
def outside_of_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables of a job that runs the tests."""
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    """A server in place of GitHub's API, without issues."""
    with running_api(GitHubApi()) as running:
        yield running


@pytest.fixture
def limits() -> Limits:
    """Limits for tests."""
    return Limits(retries=3, first_wait=0.01, limit_wait=0.01, longest_wait=1.5, request=30, total=60)
