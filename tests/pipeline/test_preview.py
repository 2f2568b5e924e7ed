"""The preview of a run is what publishing then does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.progress import Steps
from pipeline.publishing import publish
from pipeline.registry.client import open_registry
from pipeline.rules.errors import AuthError, GuardError, ImageNameError
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.report import ImageOutcome, PlanReport, RelabelledFrom
from pipeline.rules.shared_options import RunRequest
from pipeline.rules.tagging import LatestPolicy
from pipeline.run import RegistryAccess, plan_online
from tests.pipeline.bench import REPOSITORY, Heard
from tests.pipeline.images import Builder, Image
from tests.pipeline.samples import OTHER_SHA, SHA, TWIN_SHA, Order, checkout, run_plan
from tests.registry_fixtures import RunningRegistry

pytestmark = pytest.mark.registry

MASTER, RELEASE = "refs/heads/master", "refs/tags/v1.2.3"


async def previewed(plan: RunPlan) -> PlanReport:
    return await plan_online(plan, RegistryAccess(), Order(), Heard())


async def published(plan: RunPlan, running: RunningRegistry) -> list[tuple[str, str]]:
    async with open_registry(plan.image, None) as registry:
        done = await publish(plan, registry, Builder(plan, running.url, running.auth), Order(), Steps(Heard()))
    return [(tag.name, tag.outcome.value) for tag in done.tags]


def outcomes(report: PlanReport) -> list[tuple[str, str]]:
    assert report.online is not None
    return [(tag.name, str(tag.outcome)) for tag in report.online]


@pytest.mark.parametrize(
    "history",
    [
        [(MASTER, SHA)],
        [(MASTER, SHA), (MASTER, SHA)],
        [(MASTER, SHA), (MASTER, OTHER_SHA)],
        [(MASTER, SHA), (RELEASE, SHA)],
        [("refs/tags/v2.0.0", SHA), (RELEASE, OTHER_SHA)],
        [("refs/tags/v1.0.0", SHA), (RELEASE, OTHER_SHA)],
        [(RELEASE, SHA), ("refs/tags/v1.2.3-rc.1", OTHER_SHA)],
    ],
)
async def test_the_preview_matches_what_publishing_does(
    registry: RunningRegistry, history: Sequence[tuple[str, str]]
) -> None:
    *before, (ref, sha) = history
    for earlier, commit in before:
        await published(run_plan(registry.host, earlier, sha=commit), registry)
    plan = run_plan(registry.host, ref, sha=sha)
    writes = [request for request in registry.requests() if request.method not in {"GET", "HEAD"}]

    report = await previewed(plan)

    assert [request for request in registry.requests() if request.method not in {"GET", "HEAD"}] == writes
    assert report.refusals == ()
    assert report.latest_condition is None
    assert outcomes(report) == await published(plan, registry)


async def test_it_says_how_publishing_would_come_to_the_image(registry: RunningRegistry) -> None:
    before, plan = run_plan(registry.host), run_plan(registry.host, sha=OTHER_SHA)
    assert (await previewed(plan)).outcome is ImageOutcome.BUILT
    with registry.client() as client:
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        digest = Image(before.labels({}), created=yesterday).push(client, REPOSITORY, "master")

    report = await previewed(plan)

    assert report.outcome is ImageOutcome.RELABELLED
    assert report.relabelled_from == RelabelledFrom(reference=plan.image.tagged("master"), digest=digest, commit=SHA)
    assert (await previewed(before)).outcome is ImageOutcome.REUSED
    assert outcomes(await previewed(before)) == [("sha-9c68c4a", "written"), ("master", "present")]


async def test_a_moved_or_kept_tag_has_its_current_image(registry: RunningRegistry) -> None:
    plan = run_plan(registry.host, "refs/tags/v2.0.0")
    builder = Builder(plan, registry.url, registry.auth)
    async with open_registry(plan.image, None) as opened:
        await publish(plan, opened, builder, Order(), Steps(Heard()))

    report = await previewed(run_plan(registry.host, RELEASE, sha=OTHER_SHA))

    assert report.online is not None
    *_, latest = report.online
    assert (latest.outcome, latest.reason) == ("kept", "v2.0.0 is a higher release than v1.2.3")
    assert (latest.previous_digest, latest.previous_commit) == (builder.image.digest, SHA)
    moved = await previewed(run_plan(registry.host, RELEASE, sha=OTHER_SHA, latest=LatestPolicy.ALWAYS))
    assert moved.online is not None
    assert (moved.online[-1].outcome, moved.online[-1].previous_commit) == ("moved", SHA)


async def test_what_a_guard_refuses_is_refused_with_its_reason(registry: RunningRegistry) -> None:
    await published(run_plan(registry.host, RELEASE, sha=TWIN_SHA), registry)
    for plan in (run_plan(registry.host), run_plan(registry.host, RELEASE, sha=OTHER_SHA)):
        with pytest.raises(GuardError) as refused:
            await published(plan, registry)

        report = await previewed(plan)

        assert report.refusals == (refused.value.message,)
        assert {outcome for _, outcome in outcomes(report)} == {"refused"}


class Invalid(Image):
    """An image whose configuration cannot be read."""

    @property
    def config(self) -> bytes:
        return b"not JSON"


@pytest.mark.parametrize("image", [Image(labels={}), Invalid(labels={})])
async def test_the_commit_of_an_image_without_a_valid_label_is_not_known(
    registry: RunningRegistry, image: Image
) -> None:
    with registry.client() as client:
        digest = image.push(client, REPOSITORY, "master")
    report = await previewed(run_plan(registry.host))
    assert report.online is not None
    assert (report.online[1].previous_digest, report.online[1].previous_commit) == (digest, None)


async def test_refusals_that_need_no_registry_come_first(registry: RunningRegistry) -> None:
    await published(run_plan(registry.host, RELEASE, sha=TWIN_SHA), registry)
    dirty = replace(run_plan(registry.host), dirty=("backend/a.rb",))
    first, second = (await previewed(dirty)).refusals
    assert first.startswith("The working tree differs")
    assert "the image of commit" in second


async def test_a_registry_that_denies_access_is_an_error(registry_with_auth: RunningRegistry) -> None:
    with pytest.raises(AuthError):
        await previewed(run_plan(registry_with_auth.host))


async def test_an_image_without_a_name_is_refused_before_any_request() -> None:
    with pytest.raises(ImageNameError):
        await previewed(plan_run(RunRequest(registry="registry.invalid"), checkout(origin=None)))
