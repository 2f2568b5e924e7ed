"""What a registry repeats of the credentials that it got is shown and written nowhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.command import Command
from tests.acceptance.workspace import Workspace
from tests.pipeline.servers import Answer, Asked, as_json, serving

USER = "mona"
SECRET = "tok/en+with=odd&chars0of0a0canary"
BASIC = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
SPELLINGS = {SECRET, quote(SECRET), quote(SECRET, safe=""), BASIC, quote(BASIC, safe="")}
ECHO = f"you sent Authorization: Basic {BASIC}, that is {USER}:{SECRET} or {quote(SECRET, safe='')}"
QUERY = f"u={quote(USER)}&p={quote(SECRET, safe='')}&b={quote(BASIC, safe='')}"
CLOSED = "http://127.0.0.1:9"

Echo = Callable[[Asked], Answer]

ECHOES: dict[str, Echo] = {
    "JSON error": lambda _: as_json({"errors": [{"code": "DENIED", "message": ECHO}]}, 403),
    "JSON error, transient": lambda _: as_json({"errors": [{"code": ECHO, "message": ""}]}, 503),
    "HTML": lambda _: Answer(502, f"<html>{ECHO}</html>".encode(), {"Content-Type": "text/html"}),
    "plain text": lambda _: Answer(400, ECHO.encode(), {"Content-Type": "text/plain"}),
    "challenge": lambda _: Answer(401, headers={"WWW-Authenticate": f'Basic realm="{ECHO}"'}),
    "unknown scheme": lambda _: Answer(401, headers={"WWW-Authenticate": f"Echo {BASIC} {SECRET}"}),
    "realm": lambda asked: Answer(
        401,
        headers={"WWW-Authenticate": f'Bearer realm="http://{asked.headers["host"]}/token?{QUERY}",service="{SECRET}"'},
    ),
    "realm that is closed": lambda _: Answer(
        401, headers={"WWW-Authenticate": f'Bearer realm="{CLOSED}/token?{QUERY}",service="x"'}
    ),
    "redirect": lambda _: Answer(307, headers={"Location": f"{CLOSED}/{quote(SECRET, safe='')}?{QUERY}"}),
    "digest": lambda _: Answer(200, b"{}", {"Docker-Content-Digest": f"sha256:{SECRET}"}),
    "not JSON": lambda _: Answer(200, ECHO.encode(), {"Docker-Content-Digest": SECRET}),
    "link": lambda _: as_json({"tags": []}, Link=f'<{CLOSED}/{quote(SECRET, safe="")}?{QUERY}>; rel="next"'),
    "realm that is invalid": lambda _: Answer(
        401, headers={"WWW-Authenticate": f'Bearer realm="http://[{SECRET}",service="x"'}
    ),
    "realm without TLS": lambda _: Answer(
        401, headers={"WWW-Authenticate": f'Bearer realm="http://{quote(SECRET, safe="")}.example/",service="x"'}
    ),
    "encoding": lambda _: Answer(200, b"x", {"Content-Encoding": SECRET}),
}


def lying(echo: Echo, part: str) -> Echo:
    """Answer as an empty registry with a password, but for one part of its API."""

    def answer(asked: Asked) -> Answer:
        if asked.path == "/token":
            return as_json({"details": ECHO}, 401)
        if "authorization" not in asked.headers:
            return Answer(401, headers={"WWW-Authenticate": 'Basic realm="registry"'})
        if asked.path == "/v2/" and part != "ping":
            return Answer(200, b"{}")
        return echo(asked) if part in {"ping", asked.path.split("/")[4]} else Answer(404)

    return answer


@dataclass(frozen=True)
class Laptop:
    """A user's configuration of Docker, and a repository."""

    lr_ci: Command
    workspace: Workspace
    folder: Path

    def access(self, source: str, host: str) -> list[str]:
        """Return the arguments for credentials from a source, and prepare that."""
        docker = self.folder / "docker"
        docker.mkdir()
        helper = docker / "docker-credential-canary"
        helper.write_text(f"#!/bin/sh\necho '{json.dumps({'Username': USER, 'Secret': SECRET})}'\n", encoding="utf-8")
        helper.chmod(0o755)
        content = {"auths": {"auths": {host: {"auth": BASIC}}}, "helper": {"credHelpers": {host: "canary"}}}
        (docker / "config.json").write_text(json.dumps(content.get(source, {})), encoding="utf-8")
        return ["--username", USER, "--token", "env:THE_TOKEN"] if source == "--token" else []


@pytest.fixture
def laptop(tmp_path: Path, lr_ci: Command, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    monkeypatch.setenv("PATH", str(tmp_path / "docker"), prepend=":")
    workspace = Workspace.with_dockerfile(tmp_path / "checkout", "FROM scratch\nLABEL a=b\n")
    variables = {"DOCKER_CONFIG": str(tmp_path / "docker"), "THE_TOKEN": SECRET, "TMPDIR": str(tmp_path / "temporary")}
    variables |= {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    (tmp_path / "temporary").mkdir()
    return Laptop(lr_ci.with_variables(**variables), workspace, tmp_path)


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("part", ["ping", "manifests", "tags", "blobs"])
def test_no_credentials_come_back(laptop: Laptop, echo: str, part: str) -> None:
    sources = ["--token", "auths", "helper"]
    source = sources[(list(ECHOES).index(echo) + len(part)) % len(sources)]
    with serving(lying(ECHOES[echo], part)) as server:
        options = ["--registry", server.host, "--owner", "acme", "--timeout", "1", "--debug"]
        options += ["--report", str(laptop.folder / "report.json"), *laptop.access(source, server.host)]
        done = laptop.lr_ci.run(laptop.workspace.folder, "build-and-push", *options)
    assert "authorization" in {name for asked in server.asked for name in asked.headers}
    assert done.exit_code in {4, 5, 6}
    assert [spelling for spelling in SPELLINGS if spelling in done.stdout + done.stderr] == [], done.stderr
    kept = {laptop.folder / "docker", laptop.folder / "checkout"}
    for path in laptop.folder.rglob("*"):
        if path.is_file() and not kept & set(path.parents):
            text = path.read_bytes().decode("latin-1")
            assert [spelling for spelling in SPELLINGS if spelling in text] == [], path
