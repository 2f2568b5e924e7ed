from __future__ import annotations

import os
import pty
import select
import sys
import time
from pathlib import Path

import dagger
import pytest

from tests.ci.engine.conftest import Opened

pytestmark = [pytest.mark.engine, pytest.mark.registry]

_SCRIPT = """
import sys, anyio, dagger
from pathlib import Path
from dagger.client._session import ConnectParams, SingleConnection
from ci.engine.protocol.server import embedded_engine

async def main():
    async with embedded_engine(folder=Path(sys.argv[1])) as address:
        parameters = ConnectParams(port=address.port, session_token=address.token)
        async with SingleConnection(parameters) as connection:
            container = dagger.Client.from_connection(connection).container().from_(sys.argv[2])
            await container.with_env_variable("WHERE", "inside").terminal().sync()
            print("over")

anyio.run(main)
"""


async def test_without_a_terminal_the_error_says_so(
    engine: Opened, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci.engine.resolvers.execution._TERMINAL", tmp_path / "none")

    with pytest.raises(dagger.QueryError, match="needs a terminal"):
        await engine.dag.container().from_(base).terminal().sync()


def test_a_person_looks_around_in_a_container(base: str, warm_folder: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", _SCRIPT, str(warm_folder), base])  # noqa: S606
    shown = b""
    sent = False
    deadline = time.monotonic() + 30
    while b"over" not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
        if not sent and b"# " in shown:
            os.write(terminal, b"echo [$WHERE]; exit\n")
            sent = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert b"[inside]" in shown
    assert b"over" in shown
    assert status == 0
