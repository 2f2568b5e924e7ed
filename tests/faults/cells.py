"""Publications against a registry that fails in one step, and what must hold after each of them."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import anyio
import httpx
from dagger import dag
from pydantic import SecretStr

from ci.engine.events import Event
from ci.local.dagger_session import open_session
from ci.local.engine_choice import EngineKind
from pipeline.engine.builder import DaggerBuilder, EngineAccess, Source
from pipeline.registry.credentials import Credentials
from pipeline.rules.age import parse_age
from pipeline.rules.errors import PipelineError
from pipeline.rules.exit_codes import ExitCode
from pipeline.rules.media_types import MANIFEST_TYPES
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.report import BuildReport, TagOutcome
from pipeline.rules.shared_options import RunRequest
from pipeline.run import RegistryAccess, publish_run
from tests.faults.registry import PASSWORD, RELABELLING, USER, Fault, Step, faulty_registry
from tests.pipeline.bench import Heard
from tests.pipeline.samples import OTHER_SHA, SHA, Order, checkout

CREDENTIALS = Credentials(username=USER, password=SecretStr(PASSWORD))
TIMES: dict[str, float] = {"once": 1, "thrice": 3, "for ever": math.inf}
SECONDS = 90.0
"""The limit of a cell: far more than it takes, as the machine may be busy, and far less than an hour."""

_ENGINE_STEPS = {Step.BLOB, Step.POST, Step.PATCH, Step.PUT, Step.UPLOADED}
_CLAIM = re.compile(
    r"Done: (?P<done>[^;]*?)(?:; not written: (?P<missing>[^;]*?))?(?:; not known: [^;]*)?\.$", re.MULTILINE
)


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    Attributes:
        fault: How a step fails.
        step: Which one.
        times: How often, as a key of `TIMES`.
    """

    fault: Fault
    step: Step
    times: str

    def expected(self) -> set[ExitCode]:
        """Return the exit codes that are right."""
        if self.step is Step.LIST:
            return {ExitCode.OK}  # without it `latest` stays where it is, and all else is published
        for_ever = self.times == "for ever"
        if self.fault is Fault.S403:
            return {ExitCode.AUTH}
        if self.fault is Fault.S401:
            # One may mean that a token has expired; from the service that gives tokens it means wrong credentials.
            return {ExitCode.OK} if self.times == "once" and self.step is not Step.TOKEN else {ExitCode.AUTH}
        if self.fault in {Fault.S404, Fault.HUGE}:
            # A 404 can be an answer like any other, and a huge body that nobody reads does no harm.
            return {ExitCode.OK, ExitCode.NETWORK}
        if for_ever and (self.step is Step.BLOB or self._is_done):
            return {ExitCode.OK, ExitCode.NETWORK}  # an engine need not read each answer, and finds what it sent
        return {ExitCode.NETWORK} if for_ever else {ExitCode.OK}

    @property
    def _is_done(self) -> bool:
        """Whether the registry does what is requested, and only its answer is wrong or lost."""
        steps = _ENGINE_STEPS | {Step.TAG} | ({Step.MANIFEST} if self.fault is Fault.DIGEST else set())
        return self.fault in {Fault.AFTER, Fault.HALF, Fault.DIGEST} and self.step in steps


CELLS = tuple(Cell(fault, step, times) for fault in Fault for step in Step if fault.applies_to(step) for times in TIMES)


@dataclass(frozen=True)
class Result:
    """What came of a cell.

    Attributes:
        cell: The cell.
        code: How the run would have exited; None if it did not end in time.
        message: Its error.
        hits: How often the fault happened.
        requests: How many requests the run sent.
        seconds: How long it took.
        violations: What does not hold.
    """

    cell: Cell
    code: ExitCode | None
    message: str
    hits: int
    requests: int
    seconds: float
    violations: tuple[str, ...]


@contextmanager
def short_waits() -> Iterator[None]:
    """Make waits a tenth and less of what they are, while the block runs."""
    with (
        patch("pipeline.registry.retry._FIRST_WAIT", 0.05),
        patch("pipeline.registry.retry._LONGEST_WAIT", 0.5),
        patch("pipeline.registry.client._READ_SECONDS", 1.0),
        patch("pipeline.registry.failures._START_SECONDS", 5.0),
        patch("ci.engine.resolvers.publishing.STALL_SECONDS", 4.0),
    ):
        yield


@asynccontextmanager
async def opened_source(folder: Path) -> AsyncIterator[Source]:
    """Open the embedded engine, and provide a tiny source, which is built once."""
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n", encoding="utf-8")
    (folder / "file").write_text("content\n", encoding="utf-8")

    def observe(_: Event) -> None:
        pass

    async with open_session(EngineKind.EMBEDDED, observe):
        plan = _plan("localhost:1", "any", "refs/heads/master")
        yield Source(dag.host().directory(str(folder)), "backend", plan.recipe)


def _plan(host: str, name: str, ref: str, sha: str = SHA) -> RunPlan:
    request = RunRequest(
        registry=host, owner="faults", name=name, ref=ref, dockerfile="Dockerfile", max_age=parse_age("99999d")
    )
    return plan_run(request, checkout(sha=sha))


async def run_cell(cell: Cell, name: str, source: Source, upstream: str) -> Result:
    """Publish with a fault, look at the registry, and publish again without.

    Args:
        cell: The fault.
        name: A name of an image that is not in the registry.
        source: What is built.
        upstream: Host and port of the real registry.
    """
    heard = Heard()
    begin = anyio.current_time()
    with faulty_registry(upstream) as registry:
        plan = _plan(registry.host, name, "refs/tags/v1.2.3")
        if cell.step is Step.CONFIG:  # only an image that exists has its configuration read
            await _publish(_plan(registry.host, name, "refs/heads/master"), source, heard, 60)
        elif cell.step in RELABELLING:
            await _publish(_plan(registry.host, name, "refs/heads/master", OTHER_SHA), source, heard, 60)
        registry.fail(cell.step, cell.fault, TIMES[cell.times])
        before = registry.requests
        code: ExitCode | None = None
        error, report = "", None
        with anyio.move_on_after(SECONDS):
            try:
                report = await _publish(plan, source, heard, 4 if cell.times == "for ever" else 40)
                code = ExitCode.OK
            except PipelineError as raised:
                code, error = raised.exit_code, str(raised)
            except Exception as raised:  # noqa: BLE001 - a bug is a result here
                code, error = ExitCode.BUG, repr(raised)
        seconds, hits, requests = anyio.current_time() - begin, registry.hits, registry.requests - before
        found = [] if code in cell.expected() else [f"exit code {code} instead of {_listed(cell.expected())}"]
        found += _untrue(plan, report, error, upstream)
        shown = "\n".join([error, *heard.lines])
        if PASSWORD in shown or CREDENTIALS.basic()[6:] in shown or "a.token-of-the-proxy" in shown:
            found.append("a secret is shown")
        registry.fail(cell.step, None, 0)
        found += await _rerun(plan, source, upstream)
    return Result(cell, code, error, hits, requests, seconds, tuple(found))


async def _publish(plan: RunPlan, source: Source, heard: Heard, seconds: float) -> BuildReport:
    builder = DaggerBuilder(source, EngineAccess(CREDENTIALS))
    return await publish_run(plan, builder, RegistryAccess(CREDENTIALS, timeout=seconds), Order(), heard)


async def _rerun(plan: RunPlan, source: Source, upstream: str) -> list[str]:
    try:
        with anyio.fail_after(SECONDS):
            report = await _publish(plan, source, Heard(), 25)
    except (PipelineError, TimeoutError) as error:
        return [f"the rerun failed: {error!r}"]
    names = {tag.name for tag in plan.tags.tags}
    digests = {name: _digest(plan, name, upstream) for name in names}
    return [] if set(digests.values()) == {report.digest} else [f"the rerun ended with {digests}"]


def _untrue(plan: RunPlan, report: BuildReport | None, error: str, upstream: str) -> list[str]:
    """Compare what the run says with what the registry has."""
    if report is not None:
        tags = [tag for tag in report.tags if tag.outcome is not TagOutcome.KEPT]
        wrong = [tag.name for tag in tags if _digest(plan, tag.name, upstream) != report.digest]
        return [f"reported, but not so: {', '.join(wrong)}"] if wrong else []
    claim = _CLAIM.search(error)
    if claim is None:
        return []
    done = {name for name in claim["done"].split(", ") if name != "no tag"}
    missing = set(filter(None, (claim["missing"] or "").split(", ")))
    found = [f"said to be done, but is not: {name}" for name in done if _digest(plan, name, upstream) is None]
    return found + [f"said not to be written, but is: {name}" for name in missing if _digest(plan, name, upstream)]


def _digest(plan: RunPlan, tag: str, upstream: str) -> str | None:
    response = httpx.head(
        f"http://{upstream}/v2/{plan.image.repository}/manifests/{tag}",
        headers={"Accept": ", ".join(MANIFEST_TYPES)},
        trust_env=False,
        timeout=30,
    )
    return response.headers.get("Docker-Content-Digest") if response.is_success else None


def _listed(codes: set[ExitCode]) -> str:
    return " or ".join(str(int(code)) for code in sorted(codes))
