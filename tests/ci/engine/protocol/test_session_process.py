"""The engine as a program: what is left when it ends, however it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from ci.system.dagger_version import DAGGER_VERSION
from ci.system.folders import engine_folder
from tests.ci.engine.conftest import OpenEngine, force_chroot

pytestmark = [pytest.mark.engine, pytest.mark.registry]

PLAINTEXT = "very-secret-41cd77"
LR_CI = Path(sys.executable).with_name("lr-ci")


def folder_in(cache: Path) -> Path:
    """Return the engine's folder below a cache folder."""
    return cache / engine_folder().parent.name / "engine"


class Program:
    """A session started as an SDK starts it."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.log = cache / "stderr.log"
        cache.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [LR_CI, "session", "--label", "dagger.io/sdk.name:python", "--new-flag"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "XDG_CACHE_HOME": str(cache)},
                text=True,
            )
        assert self.process.stdout is not None
        self.address = json.loads(self.process.stdout.readline())

    @property
    def folder(self) -> Path:
        return folder_in(self.cache)

    def ask(self, query: str) -> dict[str, object]:
        """Ask, and take what comes; nothing comes when the session ends before."""
        try:
            response = httpx.post(
                f"http://127.0.0.1:{self.address['port']}/query",
                auth=(self.address["session_token"], ""),
                json={"query": query},
                timeout=60,
                trust_env=False,
            )
            answer: dict[str, object] = response.json()
        except (httpx.HTTPError, ValueError):
            return {}
        return answer

    def start_asking(self, query: str) -> subprocess.Popen[bytes]:
        """Ask in a process of its own, which does not wait for the answer here."""
        code = (
            "import httpx, sys\n"
            "httpx.post(sys.argv[1], auth=(sys.argv[2], ''), json={'query': sys.argv[3]}, timeout=60, trust_env=False)"
        )
        url = f"http://127.0.0.1:{self.address['port']}/query"
        arguments = [sys.executable, "-c", code, url, self.address["session_token"], query]
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)


@contextmanager
def program(cache: Path) -> Iterator[Program]:
    started = Program(cache)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait(30)
        for stream in (started.process.stdin, started.process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


@contextmanager
def asking(started: Program, query: str) -> Iterator[None]:
    asker = started.start_asking(query)
    try:
        yield
    finally:
        asker.kill()
        asker.wait()


def command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


def running(text: str) -> list[str]:
    return [line for line in command_lines() if text in line and "import httpx" not in line]


def directory_with(cache: Path, dockerfile: str) -> str:
    """Write a Dockerfile and return the query's part for the directory with it."""
    folder = cache / "source"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    return f'host{{directory(path:"{folder}")'


def build(cache: Path, base: str, marker: str) -> str:
    source = directory_with(cache, f"FROM {base}\nRUN sleep {marker}\n")
    return f"{{{source}{{dockerBuild{{sync}}}}}}}}"


def execute(base: str, marker: str) -> str:
    return f'{{container{{from(address:"{base}"){{withExec(args:["sleep","{marker}"]){{sync}}}}}}}}'


def left(folder: Path, *pids: int) -> dict[str, list[str]]:
    """What sessions may not leave: containers, mounts, folders of their own, processes."""
    containers = folder / "store" / "overlay-containers" / "containers.json"
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "containers": json.loads(containers.read_text() or "[]") if containers.exists() else [],
        "mounts": [line for line in mounted if f" {folder}/" in line],
        "sessions": [path.name for path in (folder / "sessions").iterdir()],
        "private": [path.name for pid in pids for path in Path("/dev/shm").glob(f"lr-ci-{pid}-*")],  # noqa: S108
        "temporary": [str(path) for path in (folder / "sessions").rglob("buildah*")],
        "processes": running(str(folder)),
    }


NOTHING: dict[str, list[str]] = {
    "containers": [],
    "mounts": [],
    "sessions": [],
    "private": [],
    "temporary": [],
    "processes": [],
}


def test_closing_standard_input_ends_it(tmp_path: Path, base: str) -> None:
    del base
    with program(tmp_path) as started:
        assert started.ask("{version}") == {"data": {"version": f"{DAGGER_VERSION}-embedded"}}
        assert started.close() == 0
        assert left(started.folder, started.process.pid) == NOTHING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("kind", "marker"), [("build", "7771"), ("exec", "7772"), ("chroot", "7776")])
def test_a_signal_leaves_nothing_running_or_mounted(
    tmp_path: Path, base: str, number: signal.Signals, kind: str, marker: str
) -> None:
    marker = f"{marker}{number.value}"
    if kind == "chroot":
        force_chroot(folder_in(tmp_path))
    query = build(tmp_path, base, marker) if kind == "build" else execute(base, marker)
    with program(tmp_path) as started, asking(started, query):
        wait_for_sleep(marker)

        started.process.send_signal(number)

        assert started.process.wait(30) == 0
        assert running(f"sleep {marker}") == []
        assert left(started.folder, started.process.pid) == NOTHING


def signals_while_it_cleans_up(tools: Path, number: signal.Signals) -> None:
    """Put a `buildah` in front of the real one that signals its session again before each of its last calls."""
    tools.mkdir()
    wrapper = tools / "buildah"
    wrapper.write_text(
        f"""#!/bin/sh
if [ -e "{tools}/stopped" ]; then kill -{number.value} "$(cat "{tools}/stopped")"; fi
exec {shutil.which("buildah")} "$@"
"""
    )
    wrapper.chmod(0o755)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_more_signals_do_not_cut_the_cleanup_short(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch, second: signal.Signals
) -> None:
    marker = f"7779{second.value}"
    tools = tmp_path / "tools"
    signals_while_it_cleans_up(tools, second)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    with program(tmp_path) as started, asking(started, execute(base, marker)):
        wait_for_sleep(marker)
        (tools / "stopped").write_text(str(started.process.pid))

        started.process.send_signal(signal.SIGTERM)

        assert started.process.wait(60) == 0
        assert running(f"sleep {marker}") == []
        assert left(started.folder, started.process.pid) == NOTHING


def wait_for_sleep(marker: str) -> None:
    """Wait until the command itself runs in its container."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(line.strip().endswith(f"sleep {marker}") and "buildah" not in line for line in command_lines()):
            return
        time.sleep(0.05)
    pytest.fail(f"sleep {marker} did not start")


def kill_builders(folder: Path) -> None:
    """Kill what works on a store, as a machine without memory would."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            ours = f"{folder}/sessions/".encode() in path.read_bytes()
        except OSError:
            continue
        if ours:
            os.kill(int(path.parent.name), signal.SIGKILL)


@pytest.mark.parametrize("builders", ["spared", "killed"])
@pytest.mark.parametrize(("kind", "marker"), [("build", "7773"), ("exec", "7774"), ("chroot", "7777")])
def test_what_a_killed_session_leaves_the_next_one_removes(
    tmp_path: Path, base: str, kind: str, marker: str, builders: str
) -> None:
    if kind == "chroot":
        force_chroot(folder_in(tmp_path))
    marker = f"{marker}{len(builders)}"
    query = build(tmp_path, base, marker) if kind == "build" else execute(base, marker)
    with program(tmp_path) as started, asking(started, query):
        wait_for_sleep(marker)
        started.process.kill()
        started.process.wait(30)
        if builders == "killed":
            kill_builders(started.folder)

    with program(tmp_path) as following:
        assert following.ask("{version}")
        assert following.close() == 0
        deadline = time.monotonic() + 15
        while running(f"sleep {marker}") and time.monotonic() < deadline:
            time.sleep(0.1)  # a builder that was spared ends by itself, since its parent has gone
        assert running(f"sleep {marker}") == []
        assert left(started.folder, started.process.pid, following.process.pid) == NOTHING


def test_a_client_that_goes_stops_its_build(tmp_path: Path, base: str) -> None:
    marker = "7775"
    with program(tmp_path) as started:
        with asking(started, build(tmp_path, base, marker)):
            wait_for_sleep(marker)
        deadline = time.monotonic() + 15
        while running(f"sleep {marker}") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert running(f"sleep {marker}") == []
        assert started.close() == 0
        assert left(started.folder, started.process.pid) == NOTHING


def test_no_secret_is_in_a_command_line_or_the_log(tmp_path: Path, base: str) -> None:
    marker = "2.125"
    source = directory_with(
        tmp_path,
        f"FROM {base}\nRUN --mount=type=secret,id=tok cat /run/secrets/tok; cat /run/secrets/tok >&2; sleep {marker}\n",
    )
    with program(tmp_path) as started:
        answer = started.ask(f'{{setSecret(name:"tok",plaintext:"{PLAINTEXT}"){{id}}}}')
        data = answer["data"]
        assert isinstance(data, dict)
        secret = json.dumps(data["setSecret"]["id"])
        builds = (
            f'{{{source}{{dockerBuild(secrets:[{secret}]){{withRegistryAuth(address:"localhost:1",'
            f'username:"u",secret:{secret}){{publish(address:"localhost:1/x")}}}}}}}}}}'
        )
        with asking(started, builds):
            seen: list[str] = []
            deadline = time.monotonic() + 20
            while "localhost:1/x" not in started.log.read_text() and time.monotonic() < deadline:
                seen += [line for line in command_lines() if PLAINTEXT in line]
                time.sleep(0.02)
            time.sleep(0.5)
        log = started.log.read_text()
        assert seen == []
        assert PLAINTEXT not in log
        assert "***" in log
        assert "✘ publish localhost:1/x" in log
        started.close()


async def test_a_session_that_is_alive_keeps_its_things_when_another_starts(open_engine: OpenEngine, base: str) -> None:
    async with open_engine() as one:
        container = one.dag.container().from_(base)
        await container.sync()
        async with open_engine():
            pass
        assert await container.with_exec(["sh", "-c", "echo still there"]).stdout() == "still there\n"


async def test_a_run_that_is_cancelled_leaves_nothing(open_engine: OpenEngine, base: str, tmp_path: Path) -> None:
    marker = "7778"
    ended: list[bool] = []

    async def run() -> None:
        async with open_engine(tmp_path / "engine") as opened:
            await opened.dag.container().from_(base).with_exec(["sleep", marker]).sync()
            ended.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.to_thread.run_sync(wait_for_sleep, marker)
        tasks.cancel_scope.cancel()

    assert ended == []
    assert running(f"sleep {marker}") == []
    found = left(tmp_path / "engine", os.getpid())
    found["private"] = []  # other sessions of this process may be open
    assert found == NOTHING


async def test_a_container_that_another_session_removes_meanwhile_does_not_break_the_store(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for buildah's first listing: the moment in which the other session removes one cannot be timed.
    real, marker, tools = shutil.which("buildah"), tmp_path / "listed", tmp_path / "tools"
    tools.mkdir()
    wrapper = tools / "buildah"
    wrapper.write_text(
        f"""#!/bin/sh
if [ "$1" = containers ] && ! [ -e "{marker}" ]; then
  touch "{marker}"
  echo 'Error: reading build container: 4f5e: container not known' >&2
  exit 125
fi
exec {real} "$@"
"""
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")

    async with open_engine() as opened:
        assert await opened.source({}).entries() == []

    assert marker.exists()
