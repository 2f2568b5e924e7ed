from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from ci.system import processes as process
from ci.system.processes import Completed, StalledError, run_process, stop_group

SECONDS = 60.0
TIMES = (0.5, 5.0, 50.0)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(SECONDS):
        while True:
            if condition():
                return
            await anyio.sleep(0.01)


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> float:
    """Make the five seconds that a child gets after SIGTERM short, and return them."""
    seconds = 0.4
    monkeypatch.setattr(process, "_GRACE_SECONDS", seconds)
    return seconds


async def test_both_streams_and_the_exit_status_come_back() -> None:
    done = await run_process(shell("echo out; echo err >&2; exit 3"), time_limit=SECONDS)
    assert done == Completed(3, "out\n", "err\n")


async def test_a_child_that_a_signal_ended_has_its_negative_number() -> None:
    done = await run_process(shell("kill -9 $$"), time_limit=SECONDS)
    assert done.exit_code == -9


async def test_a_program_that_is_not_there_is_an_error_of_its_own() -> None:
    with pytest.raises(FileNotFoundError):
        await run_process(["no-such-program-anywhere"], time_limit=SECONDS)


async def test_a_child_gets_no_variable_that_may_hold_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "ANYTHING_AT_ALL", "GIT_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    variables = (await run_process(["env"], time_limit=SECONDS)).stdout.splitlines()
    assert not [line for line in variables if "s3cret" in line]
    assert {"LC_ALL=C.UTF-8", f"PATH={os.environ['PATH']}"} <= set(variables)


async def test_environment_folder_and_input_are_the_childs_alone(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "WORD": "here"}
    done = await run_process(shell("pwd; cat; env"), time_limit=SECONDS, env=env, cwd=tmp_path, stdin=b"in\n")
    folder, given, *variables = done.stdout.splitlines()
    assert (folder, given) == (str(tmp_path), "in")
    assert "WORD=here" in variables
    assert not any(line.startswith("HOME=") for line in variables)


async def test_without_input_a_child_reads_its_end_at_once() -> None:
    assert (await run_process(["cat"], time_limit=SECONDS)).stdout == ""


@pytest.mark.parametrize("script", ["exec 0<&-; sleep 0.2; exit 4", "sleep 0.2; exit 4", "exit 4"])
async def test_a_child_that_does_not_read_its_input_ends_by_itself(script: str) -> None:
    done = await run_process(shell(script), time_limit=SECONDS, stdin=b"x" * 5_000_000)
    assert done.exit_code == 4


async def test_large_output_on_both_streams_and_large_input_do_not_wait_for_each_other() -> None:
    code = (
        "import sys, threading\n"
        "err = threading.Thread(target=lambda: sys.stderr.write('e' * 3_000_000))\n"
        "err.start(); sys.stdout.write('o' * 3_000_000); err.join()\n"
        "sys.stdout.write(str(len(sys.stdin.read())))"
    )
    done = await run_process(python(code), time_limit=SECONDS, stdin=b"i" * 3_000_000)
    assert done.exit_code == 0
    assert done.stdout == "o" * 3_000_000 + "3000000"
    assert done.stderr == "e" * 3_000_000


async def test_characters_that_come_in_pieces_are_put_together() -> None:
    code = (
        "import sys, time\n"
        "for byte in 'é🚢\\n'.encode():\n"
        "    sys.stdout.buffer.write(bytes([byte])); sys.stdout.flush(); time.sleep(0.01)"
    )
    lines: list[str] = []
    done = await run_process(python(code), time_limit=SECONDS, on_stdout=lines.append)
    assert (done.stdout, lines) == ("é🚢\n", ["é🚢"])


async def test_bytes_that_are_not_utf8_are_replaced_and_none_is_lost() -> None:
    code = r"import sys; sys.stdout.buffer.write(b'a\xffb\n\xe2\x82')"
    lines: list[str] = []
    done = await run_process(python(code), time_limit=SECONDS, on_stdout=lines.append)
    assert done.stdout == "a\ufffdb\n\ufffd"
    assert lines == ["a\ufffdb", "\ufffd"]


async def test_each_line_comes_once_and_in_order_to_its_own_sink() -> None:
    code = (
        "import sys\n"
        "for number in range(5000):\n"
        "    sys.stdout.write(f'out {number}\\n'); sys.stderr.write(f'err {number}\\r\\n')\n"
        "sys.stdout.write('\\nthe last one has no newline')"
    )
    out: list[str] = []
    err: list[str] = []
    done = await run_process(python(code), time_limit=SECONDS, on_stdout=out.append, on_stderr=err.append)
    assert out == [*(f"out {number}" for number in range(5000)), "", "the last one has no newline"]
    assert err == [f"err {number}" for number in range(5000)]
    assert done.stdout == "\n".join(out)


async def test_lines_come_while_the_child_still_runs(tmp_path: Path) -> None:
    heard = tmp_path / "heard"

    def sink(line: str) -> None:
        heard.write_text(line)

    script = f"echo a; for _ in $(seq 6000); do [ -e {heard} ] && break; sleep 0.01; done; cat {heard}"
    assert await run_process(shell(script), time_limit=SECONDS, on_stdout=sink) == Completed(0, "a\na", "")


async def test_a_line_of_many_megabytes_takes_time_by_its_length_alone() -> None:
    async def seconds(megabytes: int) -> float:
        lines: list[str] = []
        start = time.thread_time()  # of work: what others do on this machine meanwhile does not count
        code = f"import sys; sys.stdout.write('x' * {megabytes}_000_000)"
        await run_process(python(code), time_limit=SECONDS, on_stdout=lines.append)
        assert [len(line) for line in lines] == [megabytes * 1_000_000]
        return time.thread_time() - start

    small = await seconds(4)
    assert await seconds(40) < 40 * small  # 10 times the length; were each chunk joined to the line, 100 times the time


async def test_an_error_of_a_sink_stops_the_child_and_comes_back_as_it_is() -> None:
    pids: list[int] = []

    def sink(line: str) -> None:
        pids.append(int(line))
        msg = "enough"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="enough"):
        await run_process(shell("echo $$; exec sleep 60"), time_limit=SECONDS, on_stdout=sink)
    assert not is_running(pids[0])


class TestTheTimeLimit:
    """Nothing that a child has started is left when its time is up."""

    async def test_ends_the_child_and_what_it_started(self, tmp_path: Path) -> None:
        child, grandchild = tmp_path / "child", tmp_path / "grandchild"
        script = f"sh -c 'sleep 60 & echo $! > {grandchild}; wait' & echo $! > {child}; wait"
        await out_of_time(script, child, grandchild)
        for file in (child, grandchild):
            assert not is_running(int(file.read_text()))

    async def test_ends_what_a_child_left_behind_with_its_output(self, tmp_path: Path) -> None:
        left = tmp_path / "left"
        await out_of_time(f"sleep 60 & echo $! > {left}", left)
        assert not is_running(int(left.read_text()))

    async def test_forces_a_child_that_ignores_the_request(self, short_grace: float, tmp_path: Path) -> None:
        child = tmp_path / "child"
        start = time.monotonic()
        await out_of_time(f"trap '' TERM; echo $$ > {child}; sleep 60", child)
        assert time.monotonic() - start >= TIMES[0] + short_grace
        assert not is_running(int(child.read_text()))

    @pytest.mark.usefixtures("short_grace")
    async def test_forces_a_grandchild_that_ignores_the_request_when_the_child_did_not(self, tmp_path: Path) -> None:
        grandchild = tmp_path / "grandchild"
        stubborn = f"trap '' TERM; echo \\$\\$ > {grandchild}; sleep 60"
        await out_of_time(f'sh -c "{stubborn}" & wait', grandchild)
        await until(lambda: not is_running(int(grandchild.read_text())))

    async def test_waits_for_what_a_child_does_at_its_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process, "_GRACE_SECONDS", 60.0)
        begun, end = tmp_path / "begun", tmp_path / "end"
        script = f"trap 'sleep 0.2; echo tidy > {end}; exit 0' TERM; echo > {begun}; sleep 60; exit 1"
        await out_of_time(script, begun)
        assert end.read_text() == "tidy\n"

    async def test_does_not_make_a_quick_child_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "_GRACE_SECONDS", 3600.0)
        child = await anyio.open_process(["sleep", "60"], start_new_session=True)
        with anyio.fail_after(60):
            await stop_group(child)
        assert child.returncode == -signal.SIGTERM


async def out_of_time(script: str, *begun: Path) -> None:
    """Run a script until its time is up; give it more where a busy machine did not let it write these files before."""
    for seconds in TIMES:
        with pytest.raises(TimeoutError):
            await run_process(shell(script), time_limit=seconds)
        if all(file.exists() and file.read_text() for file in begun):
            return
    pytest.fail(f"it never wrote {[file.name for file in begun]}")


async def test_a_child_without_progress_is_stopped(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with pytest.raises(StalledError):
        await run_process(shell(f"echo $$ > {started}; exec sleep 60"), time_limit=SECONDS, stall_limit=0.5)
    assert not is_running(int(started.read_text()))


async def test_a_child_that_makes_progress_is_not_stopped() -> None:
    code = "import time\nfor _ in range(20):\n    print('x' * 1000, flush=True)\n    time.sleep(0.1)"
    assert (await run_process(python(code), time_limit=SECONDS, stall_limit=1.5)).exit_code == 0


async def test_cancelling_stops_the_child_and_what_it_started(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/grandchild; echo $$ > {tmp_path}/child; wait"
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await run_process(shell(script), time_limit=60)

            tasks.start_soon(run)
            await until(lambda: (tmp_path / "child").exists() and bool((tmp_path / "child").read_text()))
            tasks.cancel_scope.cancel()
    for name in ("child", "grandchild"):
        assert not is_running(int((tmp_path / name).read_text()))


async def test_what_a_child_starts_in_the_background_without_its_output_lives_on(tmp_path: Path) -> None:
    done = await run_process(shell("sleep 60 </dev/null >/dev/null 2>&1 & echo $!"), time_limit=SECONDS, cwd=tmp_path)
    pid = int(done.stdout)
    assert is_running(pid)
    os.kill(pid, 9)
