from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ci.system.process_identity import birth, boot_id, running_process


def test_a_process_is_identified_by_the_boot_and_its_start() -> None:
    own = running_process(os.getpid())
    assert own is not None
    assert own.group == os.getpgid(0)
    assert birth(os.getpid()) == f"{boot_id()}:{own.started}"


def test_a_name_with_spaces_and_parentheses_does_not_move_the_fields(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(sys.executable)
    child = subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        found = running_process(child.pid)
    finally:
        child.communicate(b"\n")
    assert found is not None
    assert found.group == child.pid


def test_a_process_that_ended_has_no_birth() -> None:
    child = subprocess.Popen(["true"])
    limit = time.monotonic() + 60
    while birth(child.pid) is not None:  # a zombie in between, as nobody has collected it
        assert time.monotonic() < limit
        time.sleep(0.01)
    child.wait()
    assert birth(child.pid) is None
    assert running_process(child.pid) is None
