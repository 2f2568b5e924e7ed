"""Ends runs of `lr-ci build-and-push` by signals at chosen points, and looks at what is left: `make kills`.

A point is the n-th step of the command itself (it starts a child, makes, renames or removes a folder) or the n-th
request to the registry, also by its children. A hook in the command and a relay before the registry send the signals
there, so no point depends on how fast the machine is.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

from tests.acceptance.command import Command, Ended, ended
from tests.acceptance.leftovers import left_behind
from tests.acceptance.published import Image
from tests.acceptance.workspace import Workspace
from tests.base_image import push_base_image
from tests.registry_fixtures import RunningRegistry, running

DOCKERFILE = "FROM {base}\nARG CELL\nRUN touch /built-$CELL\n"

# Python runs this before the command. Children do not: they do not get its variables.
_HOOK = """
import os, sys

signals = dict(pair.split(":") for pair in os.environ["KILLS_SIGNALS"].split(",") if pair)
watched = ("subprocess.Popen", "tempfile.mkdtemp", "os.rename", "os.rmdir")
steps = 0

def label(event, arguments):
    if event != "subprocess.Popen":
        return event
    words = [os.fsdecode(word) for word in arguments[1]]
    if "--" in words[:4]:
        words = words[words.index("--") + 1:]  # of setpriv
    verbs = [word for word in words[1:] if word[:1].isalpha() and "=" not in word]
    return " ".join([os.path.basename(words[0]), *verbs[:1]])

def hook(event, arguments):
    global steps
    if event in watched:
        steps += 1
        with open(os.environ["KILLS_STEPS"], "a") as file:
            file.write(label(event, arguments) + "\\n")
        number = signals.get(str(steps))
        if number is not None:
            os.kill(os.getpid(), int(number))

sys.addaudithook(hook)
"""
_REQUEST = re.compile(rb"(?P<method>GET|HEAD|PUT|POST|PATCH|DELETE) (?P<target>\S+) HTTP/1\.1\r\n")
_UNSTABLE = re.compile(r"sha256:[0-9a-f]+|uploads/.*|/v2/linkradar/[a-z]+-?[0-9]*/")
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Point:
    """Where a run gets a signal.

    Attributes:
        source: Whether it counts steps or requests.
        number: Its number among them, from 1.
        label: What happens there.
    """

    source: Literal["step", "request"]
    number: int
    label: str = ""

    def __str__(self) -> str:
        return f"{self.source} {self.number}: {self.label}"


@dataclass(frozen=True)
class Cell:
    """One run, and the signals that it gets."""

    signals: Mapping[Point, signal.Signals]

    def __str__(self) -> str:
        return ", then ".join(f"{number.name} at {point}" for point, number in self.signals.items())

    @property
    def can_clean_up(self) -> bool:
        """Whether no signal is SIGKILL."""
        return signal.SIGKILL not in self.signals.values()


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        run: How the run ended.
        steps: What it did until then.
        requests: What the registry was asked until then.
        left: What was left: at once after a signal that lets it clean up, after `lr-ci plan` otherwise.
        rerun: How the same run ended without a signal.
        left_after_rerun: What was left then.
        converged: Whether all tags of the rerun's report name the digest that it has.
    """

    run: Ended
    steps: list[str]
    requests: list[str]
    left: Mapping[str, object]
    rerun: Ended
    left_after_rerun: Mapping[str, object]
    converged: bool

    def violations(self, cell: Cell) -> list[str]:
        """Return what is not as it must be."""
        sent = [number for point, number in cell.signals.items() if self._reached(point)]
        codes = {128 + number for number in sent[:1]} or {0}
        codes |= {-number for number in sent if number is signal.SIGKILL}
        codes |= {0} if all(self._is_last(point) for point in cell.signals) else set()
        found = [] if self.run.exit_code in codes else [f"exit code {self.run.exit_code}: {self.run.stderr[-300:]}"]
        found += ["a traceback"] if "Traceback" in self.run.stderr else []
        found += [f"left: {self.left}"] if self.left else []
        found += [f"left after the rerun: {self.left_after_rerun}"] if self.left_after_rerun else []
        found += [] if self.converged else [f"not converged: {self.rerun.exit_code} {self.rerun.stderr[-300:]}"]
        return found

    def _reached(self, point: Point) -> bool:
        return point.number <= len(self.steps if point.source == "step" else self.requests)

    def _is_last(self, point: Point) -> bool:
        """Return whether the run was over but for its own folders: the signal may come too late to be noticed."""
        return point.source == "step" and set(self.steps[point.number - 1 :]) <= {"os.rmdir"}


@dataclass
class Relay:
    """Passes bytes on between clients and a registry, and counts the requests in them.

    Attributes:
        port: Its own port.
        requests: What was asked.
        signals: The signal for the process at the n-th request, before it is passed on.
        pid: The process.
    """

    port: int
    requests: list[str] = field(default_factory=list)
    signals: Mapping[int, signal.Signals] = field(default_factory=dict)
    pid: int = 0

    def see(self, data: bytes) -> None:
        """Look at what a client sent."""
        found = _REQUEST.match(data)
        if found is not None:
            self.requests.append(_UNSTABLE.sub("…", f"{found['method'].decode()} {found['target'].decode()}"))
            number = self.signals.get(len(self.requests))
            if number is not None:
                os.kill(self.pid, number)


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    """Stand in front of a registry on a port of loopback while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        passing = Relay(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                server = socket.create_connection(("127.0.0.1", port))
                for ends in ((client, server, passing.see), (server, client, lambda _: None)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield passing
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, target: socket.socket, see: Callable[[bytes], None]) -> None:
    with suppress(OSError), source:
        while data := source.recv(_CHUNK):
            see(data)
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Kills:
    """Runs cells.

    Attributes:
        lr_ci: The command, with a cache that nothing else uses.
        workspace: What is built.
        registry: Where it is published.
        relay: Stands in front of the registry.
        folder: For the files of the runs.
    """

    lr_ci: Command
    workspace: Workspace
    registry: RunningRegistry
    relay: Relay
    folder: Path
    _cells: Iterator[int] = field(default_factory=count)

    def points(self) -> list[Point]:
        """Return the points of a run that gets no signal; of steps that repeat each other, the first two."""
        self.run(Cell({}))  # pulls the base image and finds out how to isolate, which the others need not do
        outcome = self.run(Cell({}))
        steps = [Point("step", number, label) for number, label in enumerate(outcome.steps, 1)]
        fresh = [
            point for point in steps if [point.label] * 2 != outcome.steps[max(point.number - 3, 0) : point.number - 1]
        ]
        return fresh + [Point("request", number, label) for number, label in enumerate(outcome.requests, 1)]

    def run(self, cell: Cell) -> Outcome:
        """Run one cell."""
        number = next(self._cells)
        image = ("--registry", f"localhost:{self.relay.port}", "--name", f"cell-{number}")
        arguments = ("build-and-push", *image, "--build-arg", f"CELL={number}", "--json")
        steps = self.folder / f"steps-{number}"
        steps.touch()
        self.relay.requests.clear()
        self.relay.signals = {point.number: name for point, name in cell.signals.items() if point.source == "request"}
        process = self._start(arguments, steps, cell)
        self.relay.pid = process.pid
        run = ended(process)
        self.relay.signals = {}
        requests = list(self.relay.requests)
        if not cell.can_clean_up:
            self.lr_ci.run(self.workspace.folder, "plan").succeeded()
        left = left_behind(self.lr_ci, process.pid)
        rerun = self.lr_ci.run(self.workspace.folder, *arguments)
        return Outcome(
            run=run,
            steps=steps.read_text(encoding="utf-8").splitlines(),
            requests=requests,
            left=left,
            rerun=rerun,
            left_after_rerun=left_behind(self.lr_ci, process.pid),
            converged=rerun.exit_code == 0 and self._agrees(rerun, f"linkradar/cell-{number}"),
        )

    def _start(self, arguments: Sequence[str], steps: Path, cell: Cell) -> subprocess.Popen[str]:
        signals = {point.number: name for point, name in cell.signals.items() if point.source == "step"}
        hooked = self.lr_ci.with_variables(
            PYTHONPATH=str(self.folder),
            KILLS_STEPS=str(steps),
            KILLS_SIGNALS=",".join(f"{number}:{name.value}" for number, name in signals.items()),
        )
        return hooked.start(self.workspace.folder, *arguments)

    def _agrees(self, rerun: Ended, repository: str) -> bool:
        image = Image(self.registry, repository)
        return {image.digest(tag.name) for tag in rerun.report.tags} == {rerun.report.digest}


@contextmanager
def kills(folder: Path, registry: RunningRegistry, base: str) -> Iterator[Kills]:
    """Prepare to run cells while the block runs."""
    (folder / "sitecustomize.py").write_text(_HOOK, encoding="utf-8")
    temporary = folder / "temporary"
    temporary.mkdir()
    lr_ci = Command(folder / "cache", {"TMPDIR": str(temporary)})
    workspace = Workspace.with_dockerfile(folder / "repository", DOCKERFILE.format(base=base))
    with relay(registry.settings.port) as passing:
        yield Kills(lr_ci, workspace, registry, passing, folder)


def matrix(points: Sequence[Point]) -> Iterator[Cell]:
    """Return the cells for each signal at each point, and for pairs of signals."""
    for point in points:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            yield Cell({point: number})
    for point in points[::4]:
        for first, second in (
            (signal.SIGINT, signal.SIGTERM),
            (signal.SIGTERM, signal.SIGINT),
            (signal.SIGTERM, signal.SIGKILL),
        ):
            # The steps after the first signal are those of the cleanup.
            later = Point("step", point.number + 2, "cleanup")
            if point.source == "step":
                yield Cell({point: first, later: second})


def main() -> int:
    """Print a table of all cells, and return whether one of them is not as it must be."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the registry stops too
    violated = 0
    with tempfile.TemporaryDirectory() as name, running(Path(name, "registry")) as registry:
        push_base_image(registry.url, "base/small", "1")
        with kills(Path(name), registry, f"{registry.host}/base/small:1") as prepared:
            cells = list(matrix(prepared.points()))
            sys.stdout.write("| signals | exit code | what was seen |\n|---|---|---|\n")
            for cell in cells:
                outcome = prepared.run(cell)
                violations = outcome.violations(cell)
                violated += bool(violations)
                result = "; ".join(violations) or "nothing left, converged"
                sys.stdout.write(f"| {cell} | {outcome.run.exit_code} | {result} |\n")
                sys.stdout.flush()
    sys.stdout.write(f"{len(cells)} runs, {violated} violations\n")
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
