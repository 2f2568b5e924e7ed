from __future__ import annotations

import pytest

from pipeline.rules.errors import DirtyTreeError, NotPublishedError, UsageError
from pipeline.rules.planning import plan_run
from pipeline.rules.shared_options import RunRequest
from pipeline.run import PublishedImage, RegistryAccess, publish_run, published_image
from tests.pipeline.images import Builder, Image
from tests.pipeline.samples import BRANCH, DIGEST, OTHER_SHA, SHA, Order, checkout, run_plan
from tests.registry_fixtures import RunningRegistry


class Notes:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def started(self, step: str) -> None:
        self.notices.append(step)

    def finished(self, step: str, seconds: float) -> None:
        self.notices.append(f"{step} {seconds}")

    def notice(self, text: str) -> None:
        self.notices.append(text)


async def test_what_a_user_should_know_is_told_before_anything_else() -> None:
    request = RunRequest(registry="registry.invalid", ref=BRANCH, sha=OTHER_SHA)
    plan = plan_run(request, checkout(dirty=("backend/file",)))
    progress, builder = Notes(), Builder(plan, "http://registry.invalid")
    with pytest.raises(DirtyTreeError):
        await publish_run(plan, builder, RegistryAccess(), Order(), progress)
    assert progress.notices == [f"--sha {OTHER_SHA[:7]} is not the commit that is checked out ({SHA[:7]})."]
    assert builder.calls == []


@pytest.mark.registry
async def test_a_published_image_is_found_by_its_commit_and_by_its_digest(registry: RunningRegistry) -> None:
    plan = run_plan(registry.host)
    with pytest.raises(NotPublishedError, match=f"sha-{SHA[:7]} is not in the registry"):
        await published_image(plan, None, RegistryAccess(), Notes())
    with registry.client() as client:
        digest = Image({"a": "b"}).push(client, plan.image.repository, f"sha-{SHA[:7]}")
    for given in (None, digest):
        found = await published_image(plan, given, RegistryAccess(), Notes())
        assert found.digest == digest
        assert [image.labels for image in found.images] == [{"a": "b"}]


@pytest.mark.registry
async def test_a_digest_that_the_registry_does_not_have_is_left_to_the_pull(registry: RunningRegistry) -> None:
    plan = run_plan(registry.host)
    assert await published_image(plan, DIGEST, RegistryAccess(), Notes()) == PublishedImage(DIGEST)
    with pytest.raises(UsageError, match="digest"):
        await published_image(plan, "latest", RegistryAccess(), Notes())
