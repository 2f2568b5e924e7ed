from __future__ import annotations

import tomllib

import pytest

from ci.engine.errors import QueryFailedError
from ci.engine.store.buildah import essence
from ci.engine.store.registry_access import by_digest, image_reference, plain_registries, pull_failure
from ci.engine.store.storage import Mirror, registries_conf

_DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("address", ["", "UPPER/app", "a b", "app:", "app:tag:tag", "-x", "app@sha256:12", "app:.x"])
def test_an_invalid_name_is_refused(address: str) -> None:
    with pytest.raises(QueryFailedError, match="invalid reference format"):
        image_reference(address)


def test_a_digest_replaces_the_tag() -> None:
    assert by_digest(image_reference("debian:12")) == "docker.io/library/debian:12"
    assert by_digest(image_reference(f"ghcr.io/a/b:1@{_DIGEST}")) == f"ghcr.io/a/b@{_DIGEST}"


def test_registries_on_the_loopback_interface_are_reached_by_plain_http() -> None:
    plain = ["localhost:5001", "127.3.2.1", "[::1]:5001"]

    assert plain_registries([*plain, "notlocalhost:1", "10.0.0.1:5000", "ghcr.io"]) == plain


def test_the_registries_file_names_mirrors_and_plain_ones() -> None:
    mirrors = [Mirror("docker.io", "localhost:5001/docker.io"), Mirror("ghcr.io", "cache.example.com")]

    read = tomllib.loads(registries_conf(mirrors, ["localhost:5002"]))

    assert read["unqualified-search-registries"] == ["docker.io"]
    assert read["registry"] == [
        {"location": "docker.io", "mirror": [{"location": "localhost:5001/docker.io", "insecure": True}]},
        {"location": "ghcr.io", "mirror": [{"location": "cache.example.com", "insecure": True}]},
        {"location": "localhost:5002", "insecure": True},
    ]


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("", ""),
        ("noise\nError: copying: no such file\n", "copying: no such file"),
        ('time="2026-01-01T00:00:00Z" level=fatal msg="writing \\"x\\": denied"\n', 'writing "x": denied'),
        ("just this\n", "just this"),
    ],
)
def test_a_failed_programs_essence_is_its_last_message(stderr: str, message: str) -> None:
    assert essence(stderr) == message


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        (
            'docker://h:1/a: pinging container registry h:1: Get "https://h:1/v2/": dial tcp 127.0.0.1:1: refused',
            "the registry h:1 could not be reached: dial tcp 127.0.0.1:1: refused",
        ),
        (
            "initializing source docker://r.io/a/b:1: reading manifest 1 in r.io/a/b: manifest unknown",
            "the image r.io/a/b:1 was not found in the registry r.io",
        ),
        (
            f"initializing source docker://r.io/a: reading manifest {_DIGEST} in r.io/a: name unknown",
            f"the image r.io/a@{_DIGEST} was not found in the registry r.io",
        ),
        (
            "initializing source docker://r.io/a:1: reading manifest 1 in r.io/a: unauthorized: log in",
            "the registry r.io refused to read a:1: unauthorized: log in",
        ),
        ('building at STEP "COPY a /": no such file', None),
    ],
)
def test_an_image_that_cannot_be_pulled_is_told_with_its_registry(reason: str, meaning: str | None) -> None:
    assert pull_failure(reason) == meaning
