"""`lr-ci build-and-push --all`: every image of a repository in one session, each with its own outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ci.engine.events import Event
from ci.local.engine_choice import EngineChoice
from ci.local.engine_session import RunProgress, engine_session
from ci.local.local_run import Run
from pipeline.concurrency import each
from pipeline.rules.errors import PipelineError, UsageError
from pipeline.rules.exit_codes import ExitCode, worst
from pipeline.rules.report import BuildReport

_IMAGES_AT_ONCE = 4


class FailedRun(BaseModel):
    """Why an image was not published."""

    model_config = ConfigDict(frozen=True)

    exit_code: int = Field(description="The exit code for this kind of failure.")
    message: str = Field(description="What happened, and what to do next.")


class Publication(BaseModel):
    """What became of one image; either `report` or `error` is null."""

    model_config = ConfigDict(frozen=True)

    image: str | None = Field(description="The name of its toolchain; null for a repository's only image.")
    report: BuildReport | None = Field(default=None, description="The report of its run, if it was published.")
    error: FailedRun | None = Field(default=None, description="Why it was not published.")


class PublicationsReport(BaseModel):
    """What `lr-ci build-and-push --all` did."""

    model_config = ConfigDict(frozen=True, title="PublicationsReport")

    schema_version: Literal[1] = 1
    exit_code: int = Field(description="The worst of the images: 1 if there is one, else the highest.")
    images: tuple[Publication, ...] = Field(description="In the order of dagger.json.")


Prepare = Callable[[], Awaitable[Run]]
"""Reads the settings of an image and prepares its run."""


async def publish_all(
    images: Mapping[str | None, Prepare],
    choice: EngineChoice,
    progress: RunProgress,
    failed: Callable[[str | None, Exception], None],
) -> PublicationsReport:
    """Publish images over one session with an engine, a bounded number at a time; one that fails stops no other.

    Args:
        images: The images by their names, in order.
        choice: Which engine to use.
        progress: Shows what happens.
        failed: Called at once with the name and the error of an image that fails.

    Raises:
        UsageError: Two images would be published under one name.
    """
    runs: dict[str | None, Run] = {}
    done: dict[str | None, Publication] = {}

    async def attempt(name: str | None, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except Exception as error:  # noqa: BLE001 - told, and part of the answer
            failed(name, error)
            code = error.exit_code if isinstance(error, PipelineError) else ExitCode.BUG
            done[name] = Publication(image=name, error=FailedRun(exit_code=int(code), message=str(error)))

    async def prepare(name: str | None) -> None:
        async def action() -> None:
            runs[name] = await images[name]()

        await attempt(name, action)

    await each(images, prepare, at_once=_IMAGES_AT_ONCE)
    runs = {name: runs[name] for name in images if name in runs}
    _check_names(runs)

    async with engine_session(choice, [run.dockerfile for run in runs.values()], progress) as session:

        async def publish(name: str | None) -> None:
            async def action() -> None:
                report = await runs[name].publish(_ImageProgress(name, progress), session)
                done[name] = Publication(image=name, report=report)

            await attempt(name, action)

        await each(runs, publish, at_once=_IMAGES_AT_ONCE)
    codes = (each.error.exit_code for each in done.values() if each.error is not None)
    return PublicationsReport(exit_code=worst(codes), images=tuple(done[name] for name in images))


def _check_names(runs: Mapping[str | None, Run]) -> None:
    taken: dict[str, str | None] = {}
    for name, run in runs.items():
        image = str(run.plan.image)
        if image in taken:
            msg = f"Both {taken[image]} and {name} would be published as {image}."
            raise UsageError(msg, hint="Give each toolchain in dagger.json its own name.")
        taken[image] = name


@dataclass(frozen=True, slots=True)
class _ImageProgress:
    """Names the image in front of its steps and messages."""

    name: str | None
    progress: RunProgress

    def started(self, step: str) -> None:
        self.progress.started(self._named(step))

    def finished(self, step: str, seconds: float) -> None:
        self.progress.finished(self._named(step), seconds)

    def notice(self, text: str) -> None:
        self.progress.notice(self._named(text))

    def engine_event(self, event: Event) -> None:
        self.progress.engine_event(event)

    def close(self) -> None:
        self.progress.close()

    def _named(self, text: str) -> str:
        return text if self.name is None else f"{self.name}: {text}"
