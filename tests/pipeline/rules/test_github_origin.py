from __future__ import annotations

import re

import pytest
from hypothesis import given

from pipeline.rules.github_origin import GitHubRepository, github_repository
from tests.pipeline.strategies import anything


@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/LinkRadar/link_radar.rb",
        "https://github.com/LinkRadar/link_radar.rb.git",
        "https://github.com/LinkRadar/link_radar.rb/",
        "https://github.com/LinkRadar/link_radar.rb.git/",
        "http://github.com/LinkRadar/link_radar.rb.git",
        "https://user:password@github.com/LinkRadar/link_radar.rb.git",
        "https://x-access-token:ghs_secret@github.com/LinkRadar/link_radar.rb",
        "https://GitHub.com/LinkRadar/link_radar.rb",
        "git@github.com:LinkRadar/link_radar.rb",
        "git@github.com:LinkRadar/link_radar.rb.git",
        "github.com:LinkRadar/link_radar.rb.git",
        "ssh://git@github.com/LinkRadar/link_radar.rb.git",
        "ssh://git@github.com:22/LinkRadar/link_radar.rb.git",
        "ssh://git@ssh.github.com:443/LinkRadar/link_radar.rb.git",
        "git://github.com/LinkRadar/link_radar.rb.git",
        " https://github.com/LinkRadar/link_radar.rb.git\n",
    ],
)
def test_an_origin_on_github_names_its_repository(origin: str) -> None:
    repository = github_repository(origin)
    assert repository == GitHubRepository(owner="LinkRadar", name="link_radar.rb")
    assert repository.url == "https://github.com/LinkRadar/link_radar.rb"
    assert repository.commit_url("abc") == "https://github.com/LinkRadar/link_radar.rb/commit/abc"


def test_an_owner_of_an_enterprise_may_have_an_underscore() -> None:
    assert github_repository("git@github.com:mona_corp/app.git") == GitHubRepository(owner="mona_corp", name="app")


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "https://gitlab.com/a/b.git",
        "https://github.com.example.com/a/b",
        "https://example.com/github.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/c",
        "https://notgithub.com/a/b",
        "https://evil@example.com/github.com/a/b",
        "/srv/git/github.com/a/b.git",
        "../b.git",
        "https://github.com/a/b?c=d",
        "https://github.com/a/b#c",
    ],
)
def test_any_other_origin_is_not_on_github(origin: str | None) -> None:
    assert github_repository(origin) is None


@given(anything)
def test_every_origin_gives_a_repository_or_none(origin: str) -> None:
    repository = github_repository(f"https://github.com/{origin}")
    assert repository is None or re.fullmatch(r"https://github\.com/[\w-]+/[\w.-]+", repository.url, re.ASCII)
