from __future__ import annotations

import base64
import json
import tomllib
from pathlib import Path

import pytest

from ci.engine.errors import QueryFailedError
from ci.engine.protocol.secrets import Secrets
from ci.engine.store.buildah import essence
from ci.engine.store.registry_access import ImageName, caller_config, plain_registries
from ci.engine.store.storage import Mirror, registries_conf

_DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("address", "full"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim"),
        ("index.docker.io/owner/app", "docker.io/owner/app:latest"),
        ("owner/app:1", "docker.io/owner/app:1"),
        ("ghcr.io/owner/app:v1.0.0", "ghcr.io/owner/app:v1.0.0"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5001/a/b/c:x", "localhost:5001/a/b/c:x"),
        ("[::1]:5001/app:x", "[::1]:5001/app:x"),
        (f"ghcr.io/owner/app@{_DIGEST}", f"ghcr.io/owner/app@{_DIGEST}"),
        (f"ghcr.io/owner/app:1@{_DIGEST}", f"ghcr.io/owner/app:1@{_DIGEST}"),
    ],
)
def test_names_are_read_as_docker_reads_them(address: str, full: str) -> None:
    assert str(ImageName.parse(address)) == full


@pytest.mark.parametrize("address", ["", "UPPER/app", "a b", "app:", "app:tag:tag", "-x", "app@sha256:12", "app:.x"])
def test_what_is_no_name_is_refused(address: str) -> None:
    with pytest.raises(QueryFailedError, match="invalid reference format"):
        ImageName.parse(address)


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("localhost:5001", True),
        ("localhost", True),
        ("127.0.0.1:80", True),
        ("127.1.2.3:80", True),
        ("[::1]:5001", True),
        ("localhost.example.com", False),
        ("10.0.0.1:5000", False),
        ("ghcr.io", False),
    ],
)
def test_only_this_machines_registries_speak_plain_http(host: str, *, plain: bool) -> None:
    assert ImageName.parse(f"{host}/app").plain == ([host] if plain else [])


def test_registries_of_this_machine_are_found_in_a_dockerfile() -> None:
    text = "FROM localhost:5001/base\nCOPY --from=127.0.0.1:5002/x a b\nFROM notlocalhost:1/x\nFROM ghcr.io/x/y\n"

    assert plain_registries(text) == ["127.0.0.1:5002", "localhost:5001"]


def test_the_registries_file_names_mirrors_and_plain_ones() -> None:
    mirrors = [Mirror("docker.io", "localhost:5001/docker.io"), Mirror("ghcr.io", "cache.example.com", insecure=False)]

    read = tomllib.loads(registries_conf(mirrors, ["localhost:5002"]))

    assert read["unqualified-search-registries"] == ["docker.io"]
    assert read["registry"] == [
        {"location": "docker.io", "mirror": [{"location": "localhost:5001/docker.io", "insecure": True}]},
        {"location": "ghcr.io", "mirror": [{"location": "cache.example.com", "insecure": False}]},
        {"location": "localhost:5002", "insecure": True},
    ]


async def test_the_callers_files_are_read_and_the_named_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry(text: str) -> dict[str, str]:
        return {"auth": base64.b64encode(text.encode()).decode()}

    docker = {
        "auths": {"https://index.docker.io/v1/": entry("a:1"), "https://ghcr.io": entry("b:2"), "empty.io": {}},
        "credHelpers": {"gcr.io": "gcloud"},
    }
    (tmp_path / "config.json").write_text(json.dumps(docker))
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {"ghcr.io": entry("c:3")}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))

    assert await caller_config([]) == {
        "auths": {"docker.io": entry("a:1"), "ghcr.io": entry("c:3")},
        "credHelpers": {"gcr.io": "gcloud"},
    }


async def test_a_broken_or_missing_file_counts_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{broken")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "missing.json"))

    assert await caller_config(["ghcr.io"]) == {"auths": {}, "credHelpers": {}}


def test_every_form_of_a_secret_is_masked() -> None:
    secrets = Secrets()
    secrets.keep("one", "first-line\nsecond-line\n")
    secrets.keep("two", "first-line-and-more")

    assert secrets.scrub("a first-line-and-more b") == "a *** b"
    assert secrets.scrub("a first-line b second-line c") == "a *** b *** c"


def test_a_key_tells_nothing_of_its_secret() -> None:
    one, other = Secrets(), Secrets()

    assert one.keep("name", "hidden") == one.keep("name", "hidden")
    assert one.keep("name", "hidden") != other.keep("name", "hidden")
    assert "hidden" not in repr(one.kept(one.keep("name", "hidden")))


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
