from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import pytest

from pipeline.rules.build_inputs import BuildInputs
from pipeline.rules.checkout import Commit
from pipeline.rules.github_origin import GitHubRepository
from pipeline.rules.labels import oci_labels
from tests.pipeline.samples import IMAGE, SHA, TIME, commit

INPUTS = BuildInputs(tree="e" * 40, dockerfile="Dockerfile", platforms=("linux/amd64",))
GITHUB = GitHubRepository(owner="linkradar", name="linkradar")
NO_LABELS: Mapping[str, str] = {}


def _labels(
    *,
    of: Commit | None = None,
    repository: GitHubRepository | None = GITHUB,
    origin: str | None = None,
    from_dockerfile: Mapping[str, str] = NO_LABELS,
) -> dict[str, str]:
    labels = oci_labels(
        image=IMAGE,
        commit=of or commit(),
        inputs=INPUTS,
        repository=repository,
        origin=origin,
        from_dockerfile=from_dockerfile,
    )
    prefix = "org.opencontainers.image."
    assert {name: value for name, value in labels.items() if not name.startswith(prefix)} == INPUTS.labels()
    return {name.removeprefix(prefix): value for name, value in labels.items() if name.startswith(prefix)}


def test_an_image_says_what_it_is_and_where_it_comes_from() -> None:
    assert _labels() == {
        "created": "2025-11-03T14:30:05Z",
        "description": "The image of lr-backend.",
        "revision": SHA,
        "source": "https://github.com/linkradar/linkradar",
        "title": "lr-backend",
        "url": f"https://github.com/linkradar/linkradar/commit/{SHA}",
    }


def test_labels_are_sorted_so_that_equal_inputs_make_equal_images() -> None:
    assert list(_labels()) == sorted(_labels())


def test_what_is_not_known_is_left_out() -> None:
    assert set(_labels(of=Commit(sha=SHA), repository=None)) == {"description", "revision", "title"}


def test_the_dockerfiles_own_words_win_unless_they_name_the_commit() -> None:
    prefix = "org.opencontainers.image."
    given = {f"{prefix}{name}": "theirs" for name in ("title", "description", "licenses", "revision")}
    labels = _labels(from_dockerfile=given)
    assert "title" not in labels
    assert "description" not in labels
    assert "licenses" not in labels
    assert labels["revision"] == SHA


def test_an_empty_label_of_the_dockerfile_does_not_win() -> None:
    assert _labels(from_dockerfile={"org.opencontainers.image.title": ""})["title"] == "lr-backend"


def test_the_time_is_written_in_utc() -> None:
    elsewhere: datetime = TIME.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert _labels(of=Commit(sha=SHA, time=elsewhere))["created"] == "2025-11-03T14:30:05Z"


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ("https://gitlab.com/acme/links.git", "https://gitlab.com/acme/links"),
        ("http://git.example.com:8080/acme/links", "http://git.example.com:8080/acme/links"),
        ("https://user:hunter2@gitlab.com/acme/links.git", "https://gitlab.com/acme/links"),
        ("https://gitlab.com/acme/links.git?private_token=hunter2", "https://gitlab.com/acme/links"),
        ("https://gitlab.com/acme/links#hunter2", "https://gitlab.com/acme/links"),
        ("https://user:hunter2/x@gitlab.com/acme/links.git", None),
        ("ssh://git@gitlab.com/acme/links.git", None),
        ("git@gitlab.com:acme/links.git", None),
        ("/srv/links.git", None),
        ("https://", None),
        (None, None),
    ],
)
def test_an_origin_elsewhere_is_named_without_what_is_secret_in_it(origin: str | None, source: str | None) -> None:
    labels = _labels(repository=None, origin=origin)
    assert labels.get("source") == source
    assert labels.get("url") == source
