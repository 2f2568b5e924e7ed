"""A token is seen by the registry alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.command import Command
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.registry_fixtures import PASSWORD, USER, RunningRegistry


@contextmanager
def sampled_command_lines() -> Iterator[set[str]]:
    """Collect the command line of every process that is seen while the block runs."""
    seen: set[str] = set()
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.002)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_a_token_is_in_no_command_line_no_output_and_no_file(
    own_lr_ci: Command, small: Workspace, registry_with_auth: RunningRegistry
) -> None:
    lr_ci = own_lr_ci.with_variables(THE_TOKEN=PASSWORD)
    arguments = ["build-and-push", "--registry", registry_with_auth.host, "--debug", "--json"]

    with sampled_command_lines() as seen:
        run = lr_ci.run(small.folder, *arguments, "--username", USER, "--token", "env:THE_TOKEN").succeeded()

    assert run.report.built
    assert Image(registry_with_auth).digest("master") == run.report.digest
    for program in ("buildah", "skopeo"):
        assert any(program in line and str(lr_ci.cache) in line for line in seen), f"{program} was not seen"
    assert not [line for line in seen if PASSWORD in line]
    assert PASSWORD not in run.stdout + run.stderr
    assert not [path for path in lr_ci.cache.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_a_wrong_token_is_in_no_output(
    own_lr_ci: Command, small: Workspace, registry_with_auth: RunningRegistry
) -> None:
    wrong = "hunter2-but-longer"
    lr_ci = own_lr_ci.with_variables(THE_TOKEN=wrong)
    arguments = ["build-and-push", "--registry", registry_with_auth.host, "--debug", "--token", "env:THE_TOKEN"]

    run = lr_ci.run(small.folder, *arguments)

    assert run.exit_code == 4
    assert wrong not in run.stdout + run.stderr
