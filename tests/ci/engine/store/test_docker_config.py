from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from ci.engine.store.docker_config import DockerConfig, auth_entry, read_docker_config, registry_key
from tests.ci.programs import Programs


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

    assert await read_docker_config() == DockerConfig(
        auths={"docker.io": entry("a:1"), "ghcr.io": entry("c:3")}, helpers={"gcr.io": "gcloud"}
    )


@pytest.mark.parametrize("content", ["", "{broken", "[]", "null", '{"auths": null}'])
async def test_a_broken_or_missing_file_counts_as_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "config.json").write_text(content)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "missing.json"))

    assert await read_docker_config(["ghcr.io"]) == DockerConfig()


async def test_a_credential_store_is_asked_for_what_the_file_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    known = auth_entry("a", "1")
    content = {"credsStore": "test", "auths": {"ghcr.io": known}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    programs.add_real("cat")
    programs.add(
        "docker-credential-test",
        'case $(cat) in https://index.docker.io/v1/) echo \'{"Username": "b", "Secret": "2"}\' ;; *) exit 1 ;; esac',
    )

    found = await read_docker_config(["ghcr.io", "docker.io", "elsewhere.example.com"])

    assert found.auths == {"ghcr.io": known, "docker.io": auth_entry("b", "2")}
    assert known["auth"] not in repr(found)


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("http://localhost:5001/v2/", "localhost:5001"),
        ("ghcr.io/owner", "ghcr.io/owner"),
        ("ghcr.io/owner/app:tag", "ghcr.io/owner/app"),
    ],
)
def test_an_entry_is_for_a_registry_or_a_part_of_one(server: str, key: str) -> None:
    assert registry_key(server) == key
