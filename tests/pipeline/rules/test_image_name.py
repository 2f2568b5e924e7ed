from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.errors import ImageNameError
from pipeline.rules.image_name import DIGEST, TAG, GitHubRepository, github_repository, image_name, is_loopback
from tests.pipeline.strategies import anything


@pytest.mark.parametrize(
    ("registry", "owner", "name", "expected"),
    [
        ("ghcr.io", "linkradar", "lr-backend", "ghcr.io/linkradar/lr-backend"),
        ("ghcr.io", "LinkRadar", "lr-backend", "ghcr.io/linkradar/lr-backend"),
        ("GHCR.io", "a", "b", "ghcr.io/a/b"),
        ("localhost:5001", "a", "b_c.d--e", "localhost:5001/a/b_c.d--e"),
        ("127.0.0.1:5001", "a", "b", "127.0.0.1:5001/a/b"),
        ("[::1]:5001", "a", "b", "[::1]:5001/a/b"),
        ("registry.example.com", "group/team", "b", "registry.example.com/group/team/b"),
    ],
)
def test_an_image_name_is_put_together(registry: str, owner: str, name: str, expected: str) -> None:
    image = image_name(registry, owner, name)
    assert str(image) == expected
    assert image.tagged("x") == f"{expected}:x"
    assert image.at("sha256:00") == f"{expected}@sha256:00"


@pytest.mark.parametrize(
    "registry",
    [
        "",
        "https://ghcr.io",
        "ghcr.io/",
        "ghcr.io/linkradar",
        "ghcr.io:",
        "ghcr.io:99999",
        "ghcr.io:x",
        "gh cr.io",
        "-ghcr.io",
        "user@ghcr.io",
        "ghcr.io\n",
    ],
)
def test_a_registry_is_a_host_with_an_optional_port(registry: str) -> None:
    with pytest.raises(ImageNameError, match="host name"):
        image_name(registry, "a", "b")


@pytest.mark.parametrize("registry", ["registry", "ghcr", "hub"])
def test_a_registry_that_container_tools_take_for_a_folder_of_docker_hub_is_refused(registry: str) -> None:
    with pytest.raises(ImageNameError, match=registry):
        image_name(registry, "a", "b")


@pytest.mark.parametrize(
    "name", ["", "UPPER", "a b", "-a", "a-", "a..b", "a___b", "a/../b", "a:b", "a@b", "é", "a" * 255]
)
def test_a_name_is_in_the_grammar_of_repositories(name: str) -> None:
    with pytest.raises(ImageNameError, match="image name"):
        image_name("ghcr.io", "owner", name)


@given(anything, anything, anything)
def test_every_text_is_an_image_name_or_an_error(registry: str, owner: str, name: str) -> None:
    for arguments in [(registry, owner, name), ("ghcr.io", owner, name), ("ghcr.io", "owner", name)]:
        message = ""
        try:
            image_name(*arguments)
        except ImageNameError as error:
            message = error.message
        assert message.isprintable()


@pytest.mark.parametrize(
    ("registry", "loopback"),
    [
        ("localhost", True),
        ("localhost:5001", True),
        ("LOCALHOST:1", True),
        ("127.0.0.1:80", True),
        ("[::1]:5001", True),
        ("[::1]", True),
        ("ghcr.io", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com:80", False),
        ("[::2]:80", False),
    ],
)
def test_plain_http_is_for_this_machine_alone(registry: str, *, loopback: bool) -> None:
    assert is_loopback(registry) is loopback
    assert image_name(registry, "a", "b").is_loopback is loopback


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


@given(st.from_regex(TAG, fullmatch=True))
def test_tags_and_digests_are_never_mistaken_for_each_other(tag: str) -> None:
    assert DIGEST.fullmatch(tag) is None
