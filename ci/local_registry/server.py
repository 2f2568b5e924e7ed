"""Starts and stops the local registry, and reports its status: Debian's docker-registry on loopback."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path

import anyio
from anyio import to_thread

from ci.local_registry.locks import exclusive_lock
from ci.local_registry.port_checks import answers, refuse_taken_port, wait_until_free
from ci.local_registry.process_record import ProcessRecord, end_process, read_record
from ci.local_registry.settings import RegistrySettings, RegistryStatus
from ci.system.process_identity import birth
from ci.system.processes import POLL_SECONDS, run_process
from pipeline.rules.errors import EngineError, UsageError

_PROGRAM = "docker-registry"
_LOCK_SECONDS = 60.0
_READY_SECONDS = 15.0
_GRACE_SECONDS = 5.0
# The kernel closes a socket when the last thread has ended, a moment after its process counts as gone.
_CLOSING_SECONDS = 3.0
_LOG_BYTES = 10_000_000
# The registry must outlive the command, so a shell starts it in the background and prints its process id.
_LAUNCH = 'umask 077; "$1" serve "$2" </dev/null >>"$3" 2>>"$4" & echo $!'
_INSTALL = "Install it with `make setup`, or: apt-get install docker-registry"


async def up(settings: RegistrySettings) -> RegistryStatus:
    """Start the registry unless it is running, and wait until it answers.

    Safe to call from several processes at once: one starts it, the others find it running. It outlives the caller.

    Raises:
        EngineError: docker-registry is not installed, or did not start.
        RegistryError: Another program listens on the port.
        UsageError: It is running with a different port or password file, or the directory cannot be created.
    """
    _make_folder(settings.folder)
    async with exclusive_lock(settings.folder / "lock", time_limit=_LOCK_SECONDS):
        record = await _running(settings)
        if record is None:
            await refuse_taken_port(settings.port)
            record = await _launch(settings)
        _refuse_other_settings(settings, record)
        await _wait_until_ready(settings, record)
    return await status(settings)


async def down(settings: RegistrySettings) -> RegistryStatus:
    """Stop the registry and keep its images; do nothing if it is not running.

    Raises:
        EngineError: The process could not be stopped, not even with SIGKILL.
    """
    if settings.folder.is_dir():
        async with exclusive_lock(settings.folder / "lock", time_limit=_LOCK_SECONDS):
            record = await _running(settings)
            if record is not None:
                if not await end_process(record, grace=_GRACE_SECONDS):
                    msg = f"The local registry (process {record.pid}) did not stop."
                    raise EngineError(msg, hint=f"Inspect it with: ps {record.pid}")
                await _forget(settings, record)
    return await status(settings)


async def status(settings: RegistrySettings) -> RegistryStatus:
    """Return whether the registry is running and what it contains, from its directory alone."""
    record = read_record(settings.pid_file)
    record = record if record is not None and record.is_alive() else None
    running = settings if record is None else RegistrySettings(port=record.port, folder=settings.folder)
    data_bytes, repositories = await to_thread.run_sync(_measure, settings.data_folder)
    return RegistryStatus(
        running=record is not None,
        url=running.url,
        host=running.host,
        port=running.port,
        pid=None if record is None else record.pid,
        data_bytes=data_bytes,
        repositories=repositories,
        asks_for_password=record is not None and record.htpasswd is not None,
    )


async def _running(settings: RegistrySettings) -> ProcessRecord | None:
    """Return the record of the running registry; forget the record of one that has ended."""
    record = read_record(settings.pid_file)
    if record is None or record.is_alive():
        return record
    await _forget(settings, record)
    return None


async def _forget(settings: RegistrySettings, record: ProcessRecord) -> None:
    await wait_until_free(record.port, time_limit=_CLOSING_SECONDS)
    settings.pid_file.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot create the local registry's directory {folder}: {error.strerror}."
        raise UsageError(msg, hint="Set XDG_CACHE_HOME to a writable directory.") from error


def _refuse_other_settings(settings: RegistrySettings, record: ProcessRecord) -> None:
    if record.port != settings.port:
        msg = f"The local registry in {settings.folder} is already running on port {record.port}, not {settings.port}."
        raise UsageError(msg, hint="Use that port, or stop the registry first: lr-ci registry down")
    # Without a password file, the registry is used as it is running.
    if settings.password_file is not None and record.htpasswd != settings.password_file:
        msg = f"The local registry is already running on port {record.port} with a different password file."
        raise UsageError(msg, hint="Stop the registry first: lr-ci registry down")


async def _launch(settings: RegistrySettings) -> ProcessRecord:
    program = shutil.which(_PROGRAM)
    if program is None:
        msg = "Cannot start the local registry: docker-registry is not installed."
        raise EngineError(msg, hint=_INSTALL)
    _write_config(settings)
    for log in (settings.log_file, settings.server_log):
        _rotate(log)
    command: list[str | Path] = [
        "/bin/sh",
        "-c",
        _LAUNCH,
        "sh",
        program,
        settings.config_file,
        settings.log_file,
        settings.server_log,
    ]
    with anyio.CancelScope(shield=True):  # a process without a record could not be stopped
        # Variables that begin with REGISTRY_ would override the configuration file.
        env = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        started = await run_process(command, time_limit=_GRACE_SECONDS, env=env)
        pid = int(started.stdout)
        record = ProcessRecord(
            pid=pid,
            born=birth(pid) or "",
            port=settings.port,
            htpasswd=settings.password_file,
        )
        record.write(settings.pid_file)
    return record


def _write_config(settings: RegistrySettings) -> None:
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(settings.data_folder.absolute())},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{settings.port}", "secret": secrets.token_hex(32)},
    }
    if (passwords := settings.password_file) is not None:
        if not passwords.is_file():
            msg = f"Password file {passwords} not found."
            raise UsageError(msg, hint="Create it with: htpasswd -Bc FILE USER")
        config["auth"] = {"htpasswd": {"realm": "local registry", "path": str(passwords)}}
    settings.config_file.unlink(missing_ok=True)
    settings.config_file.touch(mode=0o600)
    settings.config_file.write_text(json.dumps(config), encoding="utf-8")  # JSON is valid YAML


def _rotate(log: Path) -> None:
    if log.is_file() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


async def _wait_until_ready(settings: RegistrySettings, record: ProcessRecord) -> None:
    with anyio.move_on_after(_READY_SECONDS):
        while record.is_alive():
            if await answers(settings.port):
                return
            await anyio.sleep(POLL_SECONDS)
    if record.is_alive():
        await end_process(record, grace=_GRACE_SECONDS)
        msg = f"The local registry did not answer on port {settings.port} within {_READY_SECONDS:.0f} s."
    else:
        msg = f"The local registry exited immediately: {_last_message(settings.server_log)}"
    settings.pid_file.unlink(missing_ok=True)
    raise EngineError(msg, hint=f"See its log: {settings.server_log}")


def _last_message(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    if not lines:
        return "no message"
    try:
        return str(json.loads(lines[-1])["msg"])
    except (ValueError, KeyError, TypeError):
        return lines[-1]


def _measure(data: Path) -> tuple[int, int]:
    root = data / "docker" / "registry" / "v2"
    size = 0
    for folder, _, names in os.walk(root / "blobs"):
        for name in names:
            try:
                size += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118 - thousands of files
            except FileNotFoundError:
                continue
    repositories = 0
    for _, folders, _ in os.walk(root / "repositories"):
        if "_manifests" in folders:
            repositories += 1
        folders[:] = [name for name in folders if not name.startswith("_")]
    return size, repositories
