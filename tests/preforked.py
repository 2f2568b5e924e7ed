"""`lr-ci` as a fork of a process that has imported it, which spares each start one to three seconds of imports.

What runs is a process of its own, with its own environment, directory and streams. Tests of starting, of signals and of
`lr-ci` as other programs start it (make, a workflow, the SDK) run the program itself.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from ci import cli, deferred

LR_CI = Path(sys.executable).with_name("lr-ci")
_LONGEST_REQUEST = 1 << 20
_FOREIGN = (
    *("DAGGER_", "_EXPERIMENTAL_DAGGER_", "GIT_", "GITHUB_", "LR_CI_"),
    *("FORCE_COLOR", "MAKE", "PYTHON", "TTY_", "VIRTUAL_ENV"),
)
FOREIGN = frozenset(name for name in os.environ if name.startswith(_FOREIGN))
"""The variables of whoever runs the tests that would change what a command does."""


def own_environment() -> dict[str, str]:
    """Return the variables of this process that do not change what a command does."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


@dataclass(frozen=True)
class _Request:
    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], *, seconds: float
) -> tuple[int, str, str]:
    """Run `lr-ci` to its end, and return its exit code, standard output and standard error.

    Raises:
        TimeoutError: It did not end in that many seconds, and was killed.
    """
    request = json.dumps(asdict(_Request(arguments, str(folder), environment)))
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
        Path(os.devnull).open("rb") as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        connection.connect(_server())
        connection.settimeout(seconds)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_REQUEST)
        socket.send_fds(connection, [request.encode()], [stdin.fileno(), stdout.fileno(), stderr.fileno()])
        pid = int(connection.recv(32))
        try:
            status = int(connection.recv(32))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
        stdout.seek(0)
        stderr.seek(0)
        return os.waitstatus_to_exitcode(status), stdout.read().decode(), stderr.read().decode()


@cache
@cache
def _server() -> str:
    """Start the process that forks, once, and return the path of its socket. It ends when this process does."""
    folder = tempfile.mkdtemp()
    command = [sys.executable, "-m", "tests.preforked", f"{folder}/socket"]
    here, pipe = Path(__file__).parents[1], subprocess.PIPE
    server = subprocess.Popen(command, cwd=here, env=own_environment(), stdin=pipe, stdout=pipe, text=True)

    def stop() -> None:
        server.communicate()
        shutil.rmtree(folder)

    atexit.register(stop)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    return command[-1]


def _serve(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the process of a connection
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    listener.close()
                    _answer(connection)


def _answer(connection: socket.socket) -> NoReturn:
    """Run one command, send its process id and then its wait status, and end."""
    request, streams, _, _ = socket.recv_fds(connection, _LONGEST_REQUEST, 3)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(_Request(**json.loads(request)), streams)
    connection.send(str(pid).encode())
    connection.send(str(os.waitpid(pid, 0)[1]).encode())
    os._exit(0)


def _become(request: _Request, streams: Sequence[int]) -> NoReturn:
    """Run `lr-ci` in this process, as if it had been started for it."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(len(streams), max(streams) + 1)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    sys.argv = [str(LR_CI), *request.arguments]
    code = 1
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as Python itself reports what nobody catches
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    import_module("ci.cli.app")
    for name in deferred.__all__:
        getattr(deferred, name)
    _serve(sys.argv[1])
