"""Explores every order in which a registry can get the requests of several runs: the real code, a model of a registry.

A run is a coroutine that stops at each request whose answer depends on what others do: reading a tag, writing one,
listing all. It is deterministic, so what it asks next depends on the answers so far alone, and a state of all runs is
their answers and the registry's tags.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar, assert_never, cast

from pipeline.progress import Steps
from pipeline.publishing import Published, publish
from pipeline.registry.client import Registry
from pipeline.registry.manifests import ImageProperties, Manifest
from pipeline.rules.errors import PipelineError
from pipeline.rules.image_name import ImageName, digest_of
from pipeline.rules.media_types import MANIFEST
from pipeline.rules.planning import RunPlan
from tests.pipeline.samples import Order

T = TypeVar("T")
Tags = tuple[tuple[str, str], ...]
"""The tags of a registry and the images that they point to."""


@dataclass(frozen=True)
class Read:
    """Reads what a tag points to."""

    tag: str


@dataclass(frozen=True)
class Write:
    """Points a tag to an image."""

    tag: str
    digest: str


@dataclass(frozen=True)
class List:
    """Lists all tags."""


Request = Read | Write | List


@dataclass(frozen=True)
class Asking:
    """Waits for the answer to a request."""

    request: Request

    def __await__(self) -> Generator[Request, Any, Any]:
        return (yield self.request)


@dataclass(frozen=True)
class Run:
    """A run, and the image that it builds.

    Attributes:
        plan: What it publishes.
        name: Tells its image apart from that of another run of the same commit.
    """

    plan: RunPlan
    name: str

    @cached_property
    def manifest(self) -> Manifest:
        content = json.dumps({"name": self.name, "commit": self.plan.commit.sha}).encode()
        return Manifest(content, MANIFEST, digest_of(content))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        return self.plan.labels({})


@dataclass(frozen=True)
class Outcome:
    """How a run ended: with a published image, or with an error."""

    published: Published | None = None
    error: PipelineError | None = None


@dataclass(frozen=True)
class Once:
    """Repeats nothing: no request fails here."""

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await operation()

    async def transfer(self, _: str, operation: Callable[[], Awaitable[T]]) -> T:
        return await operation()


@dataclass(frozen=True)
class Model:
    """What the runs see of the registry; images are there by digest once they are known."""

    image: ImageName
    runs: tuple[Run, ...]
    retries: Once = Once()

    async def check_access(self) -> None:
        """Accept everyone."""

    async def digest_of(self, tag: str) -> str | None:
        return cast("str | None", await Asking(Read(tag)))

    async def manifest(self, reference: str) -> Manifest | None:
        digest = reference if reference.startswith("sha256:") else await self.digest_of(reference)
        return next((run.manifest for run in self.runs if run.manifest.digest == digest), None)

    def known(self, digest: str) -> Manifest:
        return next(run.manifest for run in self.runs if run.manifest.digest == digest)

    async def images(self, manifest: Manifest) -> tuple[ImageProperties, ...]:
        return tuple(ImageProperties(run.labels) for run in self.runs if run.manifest == manifest)

    async def tags(self) -> list[str]:
        return cast("list[str]", await Asking(List()))

    async def put_tag(self, tag: str, manifest: Manifest) -> None:
        await Asking(Write(tag, manifest.digest))


@dataclass(frozen=True)
class Ready:
    """Has the image of a run."""

    run: Run

    async def content(self) -> str:
        return self.run.name

    async def build(self, plan: RunPlan) -> None:
        """Have built it."""

    async def upload(self, plan: RunPlan, reference: str) -> str:  # noqa: ARG002 # the protocol's
        return self.run.manifest.digest


class Silent:
    """Shows nothing."""

    def started(self, step: str) -> None:
        """Show nothing."""

    def finished(self, step: str, seconds: float) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Readings:
    """What runs have read of the tags, and what was written since.

    Attributes:
        overwritten: For each run, who wrote which tag since the run read it, and who has read what was written.
        late: Who relies on what a tag was, before it was overwritten by a decision from before that.
    """

    overwritten: tuple[frozenset[tuple[str, int]], ...]
    late: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def none(cls, runs: int) -> Readings:
        """Return that nothing was read yet."""
        nobody: frozenset[tuple[str, int]] = frozenset()
        return cls((nobody,) * runs)

    def after(self, run: int, request: Request) -> Readings:
        """Return what holds after a request of a run."""
        overwritten, late = list(self.overwritten), self.late
        match request:
            case Read(tag=tag):
                overwritten[run] = frozenset(each for each in overwritten[run] if each[0] != tag)
                overwritten = [
                    seen | {(tag, run)} if any(name == tag for name, _ in seen) else seen for seen in overwritten
                ]
                late -= {(tag, run)}
            case Write(tag=tag):
                late |= {each for each in overwritten[run] if each[0] == tag}
                overwritten = [each | {(tag, run)} if other != run else each for other, each in enumerate(overwritten)]
            case List():
                pass
            case _:
                assert_never(request)
        return Readings(tuple(overwritten), late)


@dataclass(frozen=True)
class State:
    """A state of all runs and of the registry.

    Attributes:
        answers: The answers that each run got.
        tags: The registry's tags.
        readings: What they have read.
    """

    answers: tuple[tuple[object, ...], ...]
    tags: Tags
    readings: Readings


@dataclass(frozen=True)
class End:
    """A state in which every run has ended.

    Attributes:
        tags: What the registry's tags point to.
        outcomes: How the runs ended.
        late: Whether a run read a tag for the last time, and another run wrote it then by what it was before: what no
            reading can see.
    """

    tags: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    late: bool


@dataclass
class Exploration:
    """All interleavings of some runs.

    Args:
        runs: The runs.
        order: The order of their commits.
        tags: The registry's tags at the beginning.
        images: Runs that have ended before, whose images those tags may point to.
    """

    runs: tuple[Run, ...]
    order: Order
    tags: Mapping[str, str] = field(default_factory=dict)
    images: tuple[Run, ...] = ()
    states: int = 0

    def __post_init__(self) -> None:
        self._next = cache(self._asked)

    def ends(self) -> Iterator[End]:
        """Return every state that the runs can end in."""
        begin = State(((),) * len(self.runs), tuple(sorted(self.tags.items())), Readings.none(len(self.runs)))
        seen, waiting = {begin}, [begin]
        while waiting:
            state = waiting.pop()
            following = [self._after(state, run) for run in range(len(self.runs)) if self._is_running(state, run)]
            if not following:
                outcomes = tuple(cast("Outcome", self._next(run, answers)) for run, answers in enumerate(state.answers))
                yield End(dict(state.tags), outcomes, late=bool(state.readings.late))
            for found in following:
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)
        self.states = len(seen)

    def _is_running(self, state: State, run: int) -> bool:
        return not isinstance(self._next(run, state.answers[run]), Outcome)

    def _after(self, state: State, run: int) -> State:
        """Return the state after the registry has answered the next request of a run."""
        request, tags = cast("Request", self._next(run, state.answers[run])), dict(state.tags)
        answer: object = None
        match request:
            case Read(tag=tag):
                answer = tags.get(tag)
            case Write(tag=tag, digest=digest):
                tags[tag] = digest
            case List():
                answer = tuple(tags)
            case _:
                assert_never(request)
        answers = list(state.answers)
        answers[run] = (*answers[run], answer)
        return State(tuple(answers), tuple(sorted(tags.items())), state.readings.after(run, request))

    def _asked(self, number: int, answers: tuple[object, ...]) -> Request | Outcome:
        """Return what a run does after some answers: its next request, or its end."""
        run = self.runs[number]
        model = cast("Registry", Model(run.plan.image, (*self.runs, *self.images)))
        coroutine = publish(run.plan, model, Ready(run), self.order, Steps(Silent()))
        try:
            request = coroutine.send(None)
            for answer in answers:
                request = coroutine.send(list(answer) if isinstance(answer, tuple) else answer)
        except StopIteration as end:
            return Outcome(published=cast("Published", end.value))
        except PipelineError as error:
            return Outcome(error=error)
        coroutine.close()
        return cast("Request", request)
