"""Two real runs at one real registry, each behind a proxy that holds it before one of its requests.

The first run is held before its request number i, until the second one has got to its request number j, or has ended.
Then the first one goes on to its end, and after it the second one. So for each request of the one and each of the
other there is a race in which both had just been about to send them.

`python -m tests.pipeline.socket_races` prints a table; the smaller part of it is tested in `test_socket_races.py`.
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import anyio
from anyio import to_thread

from pipeline.progress import Steps
from pipeline.publishing import publish
from pipeline.registry.client import open_registry
from pipeline.rules.errors import PipelineError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan
from tests.pipeline.bench import Heard
from tests.pipeline.images import MANIFEST, Builder, digest_of
from tests.pipeline.interleavings import List, Read, Readings, Request, Write
from tests.pipeline.races import ORDER, RUNS, broken_promises, counted
from tests.pipeline.samples import run_plan
from tests.pipeline.servers import Answer, Asked, Server, proxy
from tests.registry_fixtures import RunningRegistry
from tests.registry_fixtures import running as running_registry

PAIRS = (
    ("branch", "release"),
    ("release", "branch"),
    ("branch", "branch"),
    ("older", "newer"),
    ("newer", "older"),
    ("release", "next release"),
    ("next release", "release"),
    ("release", "newer"),
    ("newer", "release"),
)
_SECONDS = 60
_MANIFEST = re.compile(r"/v2/.*/manifests/(?P<tag>[^:]+)")
_number = count()


@dataclass
class Held:
    """A run behind its proxy.

    Attributes:
        kind: What it publishes; see `RUNS`.
        step: The number of the request that is held.
        sent: How many requests there were so far.
        stopped: Set as soon as that request has arrived, or the run has ended.
        goes_on: Set to let it pass.
        error: How the run failed.
        digest: The image that it built.
    """

    kind: str
    step: int
    sent: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)
    error: PipelineError | None = None
    digest: str = ""

    @property
    def was_held(self) -> bool:
        """Whether the run has that many requests."""
        return self.sent > self.step


@dataclass(frozen=True)
class Race:
    """What became of two runs.

    Attributes:
        first: The run that was held until the other one was held too, or had ended.
        second: The other one.
        broken: The promises that do not hold in the end.
        late: Whether a run wrote a tag by what it was before the other one wrote it and read it for the last time.
    """

    first: Held
    second: Held
    broken: list[str]
    late: bool


async def race(running: RunningRegistry, first: Held, second: Held) -> Race:
    """Let two runs publish to a repository of their own."""
    image = f"race/{next(_number)}"
    log: list[tuple[int, Request]] = []
    commits: dict[str, str] = {}
    plans: list[RunPlan] = []
    at_once = threading.Lock()

    @contextmanager
    def gate(number: int, run: Held) -> Iterator[Server]:
        with proxy(running.url) as front:
            pass_on = front.handler

            def answer(request: Asked) -> Answer:
                run.sent += 1
                if run.sent == run.step + 1:
                    run.stopped.set()
                    run.goes_on.wait(_SECONDS)
                with at_once:
                    answered = pass_on(request)
                    if (seen := _on_tags(request)) is not None:
                        log.append((number, seen))
                return answered

            front.handler = answer
            yield front

    async def publish_behind(front: Server, number: int, run: Held) -> None:
        ref, sha = RUNS[run.kind]
        plan = run_plan(front.host, ref, sha=sha, no_reuse=True)
        plan = replace(plan, image=ImageName(registry=front.host, repository=image))
        builder = Builder(plan, running.url, files=(b"base", f"run {number}".encode()))
        plans.append(plan)
        run.digest = builder.image.digest
        commits[run.digest] = sha
        try:
            async with open_registry(plan.image, None) as registry:
                await publish(plan, registry, builder, ORDER, Steps(Heard()))
        except PipelineError as error:
            run.error = error
        run.stopped.set()

    async def stopped(run: Held) -> None:
        assert await to_thread.run_sync(run.stopped.wait, _SECONDS)

    with gate(0, first) as one, gate(1, second) as other, anyio.fail_after(_SECONDS):
        async with anyio.create_task_group() as both:
            async with anyio.create_task_group() as earlier:
                earlier.start_soon(publish_behind, one, 0, first)
                await stopped(first)
                both.start_soon(publish_behind, other, 1, second)
                await stopped(second)
                first.goes_on.set()
            second.goes_on.set()
    readings = Readings.none(2)
    for number, request in log:
        readings = readings.after(number, request)
    broken = broken_promises(plans, commits, _tags(running, image))
    broken += [f"failed: {run.error.message}" for run in (first, second) if run.error is not None]
    return Race(first, second, broken, late=bool(readings.late))


async def races_over_a_socket(running: RunningRegistry, kinds: tuple[str, str], every: int = 1) -> list[Race]:
    """Hold each request of the first run against each of the second one.

    Args:
        running: The registry.
        kinds: What the two runs publish.
        every: Takes only each so many requests of either.
    """
    found: list[Race] = []
    for first_step in count(0, every):
        for second_step in count(0, every):
            found.append(await race(running, Held(kinds[0], first_step), Held(kinds[1], second_step)))
            if not found[-1].second.was_held:
                break
        if not found[-1].first.was_held:
            return found
    return found


def _on_tags(request: Asked) -> Request | None:
    """Return what a request is to the tags, but for `incoming`."""
    if request.path.endswith("/tags/list"):
        return List()
    match = _MANIFEST.fullmatch(request.path)
    if match is None or match["tag"] == "incoming":
        return None
    if request.method == "PUT":
        return Write(match["tag"], digest_of(request.body))
    return Read(match["tag"])


def _tags(running: RunningRegistry, image: str) -> dict[str, str]:
    with running.client() as client:
        names = client.get(f"/v2/{image}/tags/list").raise_for_status().json()["tags"]
        headers = {"Accept": MANIFEST}
        found = {name: client.head(f"/v2/{image}/manifests/{name}", headers=headers) for name in names}
    return {name: answer.headers["Docker-Content-Digest"] for name, answer in found.items() if name != "incoming"}


def main() -> int:
    """Print a table of all pairs; return 1 if a promise does not hold where it must."""
    sys.stdout.write(
        "| first, second | races | broken | broken by a write after the last reading |\n|---|---|---|---|\n"
    )
    failed = False
    with tempfile.TemporaryDirectory() as folder, running_registry(Path(folder) / "registry") as running:
        for kinds in PAIRS:
            found = anyio.run(races_over_a_socket, running, kinds)
            broken = Counter(what for one in found if not one.late for what in one.broken)
            late = Counter(what for one in found if one.late for what in one.broken)
            failed = failed or bool(broken)
            sys.stdout.write(f"| {', '.join(kinds)} | {len(found)} | {counted(broken)} | {counted(late)} |\n")
            sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
