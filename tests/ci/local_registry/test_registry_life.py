from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from ci.local_registry import server
from ci.local_registry.process_record import ProcessRecord, end_process, read_record
from ci.local_registry.server import down, status, up
from ci.local_registry.settings import RegistrySettings, RegistryStatus
from ci.system.process_identity import birth
from pipeline.rules.errors import EngineError, RegistryError, UsageError
from tests.registry_fixtures import RunningRegistry, free_port

pytestmark = pytest.mark.registry


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[RegistrySettings]:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed; `make setup` installs it")
    made = RegistrySettings(port=free_port(), folder=tmp_path / "registry")
    yield made
    anyio.run(down, made)


def _answer(settings: RegistrySettings) -> int:
    return httpx.get(f"{settings.url}/v2/", trust_env=False).status_code


def _bind_addresses(port: int) -> set[str]:
    """Addresses listened on, from the kernel's own tables: hexadecimal, as /proc/net/tcp shows them."""
    lines = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    columns = [line.split() for line in lines]
    return {row[1].split(":")[0] for row in columns if row[1].endswith(f":{port:04X}") and row[3] == "0A"}


async def test_up_answers_on_loopback_only(settings: RegistrySettings) -> None:
    started = await up(settings)
    assert started.running
    assert started.url == f"http://localhost:{settings.port}"
    assert _answer(settings) == 200
    assert _bind_addresses(settings.port) == {"0100007F"}


async def test_up_again_finds_the_same_process_and_starts_nothing(
    settings: RegistrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await up(settings)
    monkeypatch.setattr(server, "run_process", None)
    monkeypatch.setattr(server, "POLL_SECONDS", 3600.0)  # it answers the first time that it is asked
    with anyio.fail_after(60):
        again = await up(settings)
    assert again == first


async def test_several_callers_at_once_start_one_registry(settings: RegistrySettings) -> None:
    seen: list[RegistryStatus] = []

    async def start() -> None:
        seen.append(await up(settings))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(start)
    assert len({each.pid for each in seen}) == 1


def test_several_commands_at_once_start_one_registry_which_outlives_them(settings: RegistrySettings) -> None:
    code = (
        "import anyio, sys; from pathlib import Path; from ci.local_registry.server import up;"
        "from ci.local_registry.settings import RegistrySettings;"
        "print(anyio.run(up, RegistrySettings(port=int(sys.argv[1]), folder=Path(sys.argv[2]))).pid)"
    )
    command = [sys.executable, "-c", code, str(settings.port), str(settings.folder)]
    commands = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    pids = {each.communicate(timeout=30)[0] for each in commands}
    assert len(pids) == 1
    found = anyio.run(status, settings)
    assert pids == {f"{found.pid}\n"}
    assert found.pid is not None
    assert os.getsid(found.pid) != os.getsid(0)


async def test_down_keeps_the_images_and_may_be_repeated(settings: RegistrySettings) -> None:
    assert not (await down(settings)).running
    await up(settings)
    settings.data_folder.mkdir(exist_ok=True)
    (settings.data_folder / "kept").touch()
    stopped = await down(settings)
    assert (stopped.running, stopped.pid) == (False, None)
    assert not (await down(settings)).running
    assert (settings.data_folder / "kept").exists()
    with pytest.raises(httpx.ConnectError):
        _answer(settings)


async def test_a_registry_that_was_killed_is_started_anew(settings: RegistrySettings) -> None:
    first = await up(settings)
    assert first.pid is not None
    os.kill(first.pid, 9)
    with anyio.fail_after(60):
        while (await status(settings)).running:  # noqa: ASYNC110 - there is nothing to be told by
            await anyio.sleep(0.01)
    second = await up(settings)
    assert second.running
    assert second.pid != first.pid


async def _listen(port: int) -> socket.socket:
    """Listen on a port as soon as it is free."""
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            await anyio.sleep(0.01)
        else:
            listener.listen()
            return listener


async def _close_later(listener: socket.socket) -> None:
    await anyio.sleep(0.3)
    listener.close()


async def test_up_waits_until_the_socket_of_a_killed_registry_is_closed(settings: RegistrySettings) -> None:
    first = await up(settings)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    listener = await _listen(settings.port)  # stands for the socket that the kernel has not closed yet
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_close_later, listener)
        second = await up(settings)
    assert second.running
    assert second.pid != first.pid


async def test_down_returns_when_the_port_is_free(settings: RegistrySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with anyio.create_task_group() as tasks:

        async def end_and_hold_port(record: ProcessRecord, *, grace: float) -> bool:
            ended = await end_process(record, grace=grace)
            tasks.start_soon(_close_later, await _listen(record.port))
            return ended

        monkeypatch.setattr(server, "end_process", end_and_hold_port)
        await up(settings)
        await down(settings)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", settings.port))


async def test_up_waits_once_and_not_for_ever_for_the_port_of_a_registry_that_ended(
    settings: RegistrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_CLOSING_SECONDS", 0.1)
    first = await up(settings)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    with await _listen(settings.port), pytest.raises(RegistryError, match="another program"):
        await up(settings)
    assert not settings.pid_file.exists()


async def test_a_port_taken_by_another_program_is_named(settings: RegistrySettings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        with pytest.raises(RegistryError, match=rf"(?s)Port {settings.port} .*another program.*--port"):
            await up(settings)
    assert not (await status(settings)).running


async def test_a_port_taken_by_another_registry_is_named(registry: RunningRegistry, tmp_path: Path) -> None:
    other = RegistrySettings(port=registry.settings.port, folder=tmp_path / "other")
    with pytest.raises(RegistryError, match="another registry"):
        await up(other)


async def test_another_port_for_a_running_registry_is_refused(settings: RegistrySettings) -> None:
    await up(settings)
    other = RegistrySettings(port=free_port(), folder=settings.folder)
    with pytest.raises(UsageError, match=f"(?s)already running on port {settings.port}.*registry down"):
        await up(other)
    assert (await status(other)).port == settings.port


async def test_another_password_file_for_a_running_registry_is_refused(
    registry_with_auth: RunningRegistry, tmp_path: Path
) -> None:
    settings = registry_with_auth.settings
    other = RegistrySettings(port=settings.port, folder=settings.folder, htpasswd=tmp_path / "other")
    with pytest.raises(UsageError, match="password file"):
        await up(other)


async def test_who_names_no_password_file_takes_a_registry_as_it_runs(registry_with_auth: RunningRegistry) -> None:
    settings = registry_with_auth.settings
    found = await up(RegistrySettings(port=settings.port, folder=settings.folder))
    assert found == await status(settings)
    assert _answer(settings) == 401


def test_a_password_file_keeps_strangers_out(registry_with_auth: RunningRegistry) -> None:
    assert _answer(registry_with_auth.settings) == 401
    with registry_with_auth.client() as client:
        assert client.get("/v2/").status_code == 200


async def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    settings = RegistrySettings(port=free_port(), folder=tmp_path, htpasswd=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="nowhere"):
        await up(settings)


async def test_the_reason_for_a_failed_start_is_reported(
    settings: RegistrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def see_nothing(port: int) -> None:
        assert port == settings.port

    monkeypatch.setattr(server, "refuse_taken_port", see_nothing)  # as if it was taken a moment later
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        with pytest.raises(EngineError, match=r"exited immediately: .*address already in use"):
            await up(settings)
    assert not (await status(settings)).running


async def test_variables_of_the_caller_do_not_change_the_registry(
    settings: RegistrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", f"0.0.0.0:{free_port()}")
    monkeypatch.setenv("REGISTRY", "localhost:1")
    await up(settings)
    assert _bind_addresses(settings.port) == {"0100007F"}


async def test_what_is_not_installed_is_named_with_the_way_to_get_it(
    settings: RegistrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match=r"(?s)docker-registry is not installed.*make setup"):
        await up(settings)


async def test_files_are_for_their_owner_alone(settings: RegistrySettings) -> None:
    await up(settings)
    for file in (settings.config_file, settings.log_file, settings.server_log, settings.pid_file):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_images_are_counted_and_can_be_deleted(registry: RunningRegistry) -> None:
    with registry.client() as client:
        for name in ("one", "two/three"):
            client.put(_upload(client, name, b"{}"), content=b"{}").raise_for_status()
            digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
            config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2}
            media_type = "application/vnd.oci.image.manifest.v1+json"
            manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []}
            put = client.put(f"/v2/{name}/manifests/a", json=manifest, headers={"Content-Type": media_type})
            assert put.status_code == 201
        found = anyio.run(status, registry.settings)
        assert found.repositories == 2
        assert found.data_bytes > 2
        manifest_digest = put.headers["Docker-Content-Digest"]
        assert client.delete(f"/v2/two/three/manifests/{manifest_digest}").status_code == 202


def _upload(client: httpx.Client, name: str, data: bytes) -> httpx.URL:
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert data == b"{}"
    location = client.post(f"/v2/{name}/blobs/uploads/").headers["Location"]
    return httpx.URL(location).copy_merge_params({"digest": digest})


def test_a_number_that_another_process_has_now_is_never_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        record = ProcessRecord(pid=other.pid, born="an earlier boot:1", port=1, htpasswd=None)
        record.write(tmp_path / "pid")
        assert read_record(tmp_path / "pid") == record
        assert not record.is_alive()
        assert anyio.run(_end, record)
        assert other.poll() is None
        assert anyio.run(_end, record.model_copy(update={"born": birth(other.pid)}))
        assert other.wait() == -signal.SIGTERM


def test_a_process_that_does_not_listen_is_ended_by_force() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        record = ProcessRecord(pid=deaf.pid, born=birth(deaf.pid) or "", port=1, htpasswd=None)
        assert anyio.run(_end, record)
        assert deaf.wait() == -signal.SIGKILL


async def _end(record: ProcessRecord) -> bool:
    return await end_process(record, grace=0.2)


@pytest.mark.parametrize("text", ["", "123", '{"pid": "x"}', "\x00"])
def test_a_broken_pid_file_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    assert read_record(tmp_path / "pid") is None
