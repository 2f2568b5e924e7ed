from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.errors import ImageNameError
from pipeline.rules.image_name import (
    DIGEST,
    TAG,
    Reference,
    image_name,
    is_loopback,
    parse_reference,
)
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


def test_owner_and_name_are_the_first_and_the_last_part() -> None:
    image = image_name("registry.example.com", "Group/team", "app")
    assert (image.owner, image.name) == ("group", "app")


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
    with pytest.raises(ImageNameError, match="Invalid registry"):
        image_name(registry, "a", "b")


@pytest.mark.parametrize("registry", ["registry", "ghcr", "hub"])
def test_a_registry_that_container_tools_take_for_a_folder_of_docker_hub_is_refused(registry: str) -> None:
    with pytest.raises(ImageNameError, match=registry):
        image_name(registry, "a", "b")


@pytest.mark.parametrize(
    "name", ["", "UPPER", "a b", "-a", "a-", "a..b", "a___b", "a/../b", "a:b", "a@b", "é", "a" * 255]
)
def test_a_name_is_in_the_grammar_of_repositories(name: str) -> None:
    with pytest.raises(ImageNameError, match="Invalid image name"):
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
        ("127.0.0.2", True),
        ("127.255.255.254:5001", True),
        ("[::1]:5001", True),
        ("[::1]", True),
        ("ghcr.io", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com:80", False),
        ("[::2]:80", False),
        ("128.0.0.1:80", False),
    ],
)
def test_plain_http_is_for_this_machine_alone(registry: str, *, loopback: bool) -> None:
    assert is_loopback(registry) is loopback
    assert image_name(registry, "a", "b").is_loopback is loopback


@given(st.from_regex(TAG, fullmatch=True))
def test_tags_and_digests_are_never_mistaken_for_each_other(tag: str) -> None:
    assert DIGEST.fullmatch(tag) is None


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("debian:12", "docker.io/library/debian:12"),
        ("library/debian", "docker.io/library/debian:latest"),
        ("owner/app", "docker.io/owner/app:latest"),
        ("docker.io/debian", "docker.io/library/debian:latest"),
        ("index.docker.io/debian", "docker.io/library/debian:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5001/a/b_c.d--e", "localhost:5001/a/b_c.d--e:latest"),
        ("host:5000/app", "host:5000/app:latest"),
        ("[::1]:5001/app:1", "[::1]:5001/app:1"),
        ("ghcr.io/owner/group/app:v1", "ghcr.io/owner/group/app:v1"),
        ("debian:5001", "docker.io/library/debian:5001"),
        (f"debian@sha256:{HEX}", f"docker.io/library/debian@sha256:{HEX}"),
        (f"host:5000/app:1@sha256:{HEX}", f"host:5000/app:1@sha256:{HEX}"),
        (f"app@sha512:{HEX}{HEX}", f"docker.io/library/app@sha512:{HEX}{HEX}"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, full: str) -> None:
    reference = parse_reference(text)
    assert str(reference) == full
    assert parse_reference(full) == reference


def test_the_parts_of_a_reference_stand_apart() -> None:
    digest = f"sha256:{HEX}"
    assert parse_reference(f"127.0.0.2:5001/a/b:c@{digest}") == Reference("127.0.0.2:5001", "a/b", "c", digest)
    assert parse_reference(f"a/b@{digest}") == Reference("docker.io", "a/b", None, digest)


@pytest.mark.parametrize(
    "text",
    [
        *["", "Debian", "UPPER/app", "a b", "-a", "a:", "a:.x", "a:b:c", "a//b", "/a", "a/", "$A", "häuser", "a\n"],
        *["a@", "a@sha256:12", f"a@sha256:{HEX.upper()}", f"a@md5:{HEX[:32]}", "https://ghcr.io/a/b", "a" * 256],
    ],
)
def test_any_other_text_is_not_a_reference(text: str) -> None:
    assert parse_reference(text) is None


@given(anything)
def test_a_full_reference_is_read_as_itself(text: str) -> None:
    reference = parse_reference(text)
    assert reference is None or parse_reference(str(reference)) == reference
