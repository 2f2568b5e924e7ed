from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import dagger
import httpx
import pytest
from anyio.abc import SocketStream

from ci.engine.store.session_folders import secrets_folder
from tests.ci.engine.conftest import Opened
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry, free_port

pytestmark = [pytest.mark.engine, pytest.mark.registry]


def container(engine: Opened) -> dagger.Container:
    return engine.source({"Dockerfile": "FROM scratch\nCOPY file /file\n", "file": "content"}).docker_build()


async def test_the_right_password_publishes(engine: Opened, registry_with_auth: RunningRegistry) -> None:
    host = registry_with_auth.host
    secret = engine.dag.set_secret("password", PASSWORD)

    address = await container(engine).with_registry_auth(host, USER, secret).publish(f"{host}/owner/app:one")

    with registry_with_auth.client() as client:
        accept = {"accept": "application/vnd.oci.image.manifest.v1+json"}
        found = client.get("/v2/owner/app/manifests/one", headers=accept).raise_for_status()
    assert address == f"{host}/owner/app:one@{found.headers['docker-content-digest']}"
    with httpx.Client(base_url=registry_with_auth.url, trust_env=False) as client:
        assert client.get("/v2/owner/app/tags/list").status_code == 401


async def test_a_wrong_password_is_told_apart_from_none(engine: Opened, registry_with_auth: RunningRegistry) -> None:
    host = registry_with_auth.host
    secret = engine.dag.set_secret("wrong", "wrong-password-1")

    with pytest.raises(dagger.QueryError, match="401 Unauthorized") as refused:
        await container(engine).with_registry_auth(host, USER, secret).publish(f"{host}/owner/app:one")
    assert "wrong-password-1" not in str(refused.value)
    with pytest.raises(dagger.QueryError, match=r"push access denied.*no basic auth credentials"):
        await container(engine).publish(f"{host}/owner/app:one")


async def test_the_callers_docker_config_is_used(
    engine: Opened, registry_with_auth: RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = registry_with_auth.host
    entry = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: entry}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert await container(engine).publish(f"{host}/owner/app:two")


async def test_the_callers_credential_store_is_asked(
    engine: Opened, registry_with_auth: RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = registry_with_auth.host
    helper = tmp_path / "docker-credential-test"
    answer = json.dumps({"ServerURL": host, "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\nread server; [ \"$server\" = {host} ] && echo '{answer}'\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert await container(engine).publish(f"{host}/owner/app:three")


async def test_credentials_reach_a_registry_behind_a_service(
    engine: Opened, registry_with_auth: RunningRegistry
) -> None:
    port = int(registry_with_auth.host.rpartition(":")[2])
    service = engine.dag.host().service([dagger.PortForward(backend=port, frontend=4999)])
    secret = engine.dag.set_secret("password", PASSWORD)
    sent = container(engine).with_registry_auth("localhost:4999", USER, secret)

    address = await sent.publish("localhost:4999/owner/app:four", registry_service=service)

    assert re.fullmatch(r"localhost:4999/owner/app:four@sha256:[0-9a-f]{64}", address)
    pulled = engine.dag.container().with_registry_auth("localhost:4999", USER, secret)
    assert await pulled.from_(address, registry_service=service).file("/file").contents() == "content"


async def test_a_registry_that_is_not_there_is_named(engine: Opened) -> None:
    with pytest.raises(dagger.QueryError, match=r"localhost:1/app:one.*connection refused"):
        await container(engine).publish("localhost:1/app:one")


async def test_credentials_are_gone_after_the_push(engine: Opened, registry_with_auth: RunningRegistry) -> None:
    host = registry_with_auth.host
    secret = engine.dag.set_secret("password", PASSWORD)
    await container(engine).with_registry_auth(host, USER, secret).publish(f"{host}/owner/app:five")

    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    session = next((engine.folder / "sessions").iterdir())
    private = list(secrets_folder().glob(f"lr-ci-{os.getpid()}-*"))
    assert {folder.stat().st_mode & 0o777 for folder in private} == {0o700}
    for folder in (session, *private):
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert encoded.encode() not in content
                assert PASSWORD.encode() not in content


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Serve one answer to everything; none at all where it is empty."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            if answer:
                await stream.send(answer)

    port = free_port()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield f"127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "503 Service Unavailable",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "502 Bad Gateway"),
        (b"", "unexpected EOF"),
    ],
)
async def test_a_transient_failure_is_marked_in_its_message(engine: Opened, answer: bytes, said: str) -> None:
    async with answering(answer) as host:
        with pytest.raises(dagger.QueryError, match=said):
            await container(engine).publish(f"{host}/app:one")
