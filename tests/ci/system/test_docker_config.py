from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from ci.system.docker_config import DockerConfig, auth_entry, find_login, read_docker_config, registry_key
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


@pytest.mark.parametrize(
    "content", ["", "{broken", "[]", "null", '{"auths": null}', '{"auths": []}', '{"auths": {"ghcr.io": 7}}', "\x00"]
)
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


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> Path:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    for name in ("XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return path


async def found(registry: str, repository: str = "") -> tuple[str, str, str] | tuple[str, ...]:
    """Return user, password and place of a login, or the problems."""
    search = await find_login(registry, repository)
    if search.login is None:
        return search.problems
    assert search.problems == ()
    return search.login.username, search.login.password.get_secret_value(), search.login.place


async def test_a_login_is_for_its_registry_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auths = {"https://index.docker.io/v1/": auth_entry("a", "1"), "ghcr.io": auth_entry("b", "2:3")}
    path = configure(tmp_path, monkeypatch, {"auths": auths})

    assert await found("ghcr.io") == ("b", "2:3", str(path))
    assert await found("docker.io") == ("a", "1", str(path))
    for other in ("ghcr.io:443", "xghcr.io", "ghcr.io.example.com", "quay.io", "localhost:5001"):
        assert await found(other) == ()


async def test_the_longest_part_of_a_repository_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auths = {"r.io": auth_entry("a", "1"), "r.io/acme": auth_entry("b", "2"), "r.io/acme/api": auth_entry("c", "3")}
    configure(tmp_path, monkeypatch, {"auths": auths})

    users = [(await found("r.io", repository))[0] for repository in ("x/api", "acme/web", "acme/api", "acmes/api")]
    assert users == ["a", "b", "c", "a"]


async def test_a_helper_of_the_registry_counts_before_the_store_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    auths = {name: auth_entry("file", "0") for name in ("one.io", "two.io", "three.io")}
    configure(tmp_path, monkeypatch, {"auths": auths, "credHelpers": {"one.io": "own"}, "credsStore": "store"})
    programs.add_real("cat")
    programs.add("docker-credential-own", 'echo \'{"Username": "own", "Secret": "1"}\'')
    programs.add(
        "docker-credential-store",
        'case $(cat) in two.io) echo \'{"Username": "store", "Secret": "2"}\' ;; '
        "*) echo credentials not found in native keychain; exit 1 ;; esac",
    )

    assert [(await found(name))[0] for name in auths] == ["own", "store", "file"]
    assert (await found("one.io"))[2] == f"docker-credential-own, which {tmp_path / 'config.json'} refers to"


async def test_a_helper_that_is_missing_is_a_problem_and_the_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    del programs
    path = configure(tmp_path, monkeypatch, {"auths": {"a.io": auth_entry("file", "0")}, "credsStore": "desktop"})

    search = await find_login("a.io")

    assert search.login is not None
    assert search.login.username == "file"
    assert search.problems == (
        f"No login at a.io by the credential helper that {path} refers to: docker-credential-desktop is not installed.",
    )


async def test_an_identity_token_is_not_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    entry = {"auth": auth_entry("u", "")["auth"], "identitytoken": "secret-1"}
    configure(tmp_path, monkeypatch, {"auths": {"a.io": entry}, "credHelpers": {"b.io": "test"}})
    programs.add("docker-credential-test", 'echo \'{"Username": "<token>", "Secret": "secret-1"}\'')

    for registry in ("a.io", "b.io"):
        (problem,) = (await find_login(registry)).problems
        assert problem.startswith(f"The login at {registry} is an identity token (")
        assert problem.endswith("which is not supported: use --token.")
        assert "secret-1" not in problem


@pytest.mark.parametrize("auth", ["%%%", "dXNlcg==", "OnBhc3M=", "dXNlcjo=", "/////w=="])
async def test_an_entry_that_is_not_valid_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str
) -> None:
    path = configure(tmp_path, monkeypatch, {"auths": {"a.io": {"auth": auth}}})
    assert await found("a.io") == (f"The entry for a.io in {path} is not valid: log in again with docker login a.io.",)


@pytest.mark.parametrize("content", ["{broken hunter2", "[]", '{"auths": ["hunter2"]}', '{"credsStore": 7}'])
async def test_a_file_that_is_not_valid_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = configure(tmp_path, monkeypatch, content)
    assert await found("a.io") == (f"{path} is ignored: it is not a valid Docker configuration.",)


async def test_a_user_without_a_home_has_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        msg = "Could not determine home directory."
        raise RuntimeError(msg)

    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)  # a user that no file of this machine has
    assert await found("a.io") == ()
