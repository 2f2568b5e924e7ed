from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest
from pydantic import SecretStr

from pipeline.progress import Steps
from pipeline.publishing import Published, publish
from pipeline.registry.client import Registry, open_registry
from pipeline.registry.credentials import Credentials
from pipeline.registry.manifests import Manifest
from pipeline.rules.build_inputs import INPUTS
from pipeline.rules.checkout import Commit
from pipeline.rules.errors import (
    AuthError,
    BuildError,
    CollisionError,
    DirtyTreeError,
    ImageNameError,
    NotPublishedError,
    PipelineError,
    RegistryError,
    SourceMismatchError,
    UsageError,
    WriteOnceError,
)
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.platforms import parse_platforms
from pipeline.rules.report import ImageOutcome, TagOutcome
from pipeline.rules.shared_options import RunRequest
from pipeline.rules.tagging import LatestPolicy
from pipeline.run import PublishedImage, RegistryAccess, publish_run, published_image
from tests.pipeline.bench import MANIFESTS, REPOSITORY, Bench, Heard
from tests.pipeline.images import BUILDER_AGENT, INDEX, Builder, Image, digest_of, index_of, put_manifest
from tests.pipeline.samples import DIGEST, OTHER_SHA, SHA, TIME, TWIN_SHA, Order, checkout, run_plan
from tests.pipeline.servers import DROP, Answer, Asked, Fault, as_json, proxy
from tests.registry_fixtures import RunningRegistry

REVISION = "org.opencontainers.image.revision"
RELEASE = "refs/tags/v1.2.3"
WRITTEN, MOVED, PRESENT, KEPT = TagOutcome.WRITTEN, TagOutcome.MOVED, TagOutcome.PRESENT, TagOutcome.KEPT
BUILT, RELABELLED, REUSED = ImageOutcome.BUILT, ImageOutcome.RELABELLED, ImageOutcome.REUSED

pytestmark = pytest.mark.registry


def _outcomes(published: Published) -> dict[str, TagOutcome]:
    return {tag.name: tag.outcome for tag in published.tags}


class TestABranch:
    async def test_its_image_is_built_once_and_gets_both_tags(self, bench: Bench) -> None:
        plan = bench.plan()
        builder = bench.builder(plan)
        published = await bench.publish(plan, builder)
        assert builder.calls == ["build", f"upload {bench.host}/{REPOSITORY}:incoming"]
        assert published.outcome is BUILT
        assert published.digest == builder.image.digest
        assert _outcomes(published) == {"sha-9c68c4a": WRITTEN, "master": WRITTEN}
        assert bench.digests() == {"sha-9c68c4a": published.digest, "master": published.digest}

    async def test_a_second_run_builds_nothing_and_writes_nothing(self, bench: Bench) -> None:
        plan = bench.plan()
        first = await bench.publish(plan)
        before = len(bench.writes())
        again = bench.builder(plan)
        second = await bench.publish(plan, again)
        assert again.calls == []
        assert second.outcome is REUSED
        assert second.digest == first.digest
        assert _outcomes(second) == {"sha-9c68c4a": PRESENT, "master": PRESENT}
        assert len(bench.writes()) == before

    async def test_the_next_commit_moves_the_branch_and_keeps_the_commits_tags(self, bench: Bench) -> None:
        first = await bench.publish(bench.plan())
        second = await bench.publish(bench.plan(sha=OTHER_SHA))
        assert first.digest != second.digest
        assert _outcomes(second) == {"sha-0123456": WRITTEN, "master": MOVED}
        assert second.tags[1].previous_digest == first.digest
        assert bench.digests() == {
            "sha-9c68c4a": first.digest,
            "sha-0123456": second.digest,
            "master": second.digest,
        }

    async def test_a_build_that_fails_leaves_the_registry_as_it_was(self, bench: Bench) -> None:
        plan = bench.plan()
        builder = bench.builder(plan)
        builder.fails = True
        with pytest.raises(BuildError):
            await bench.publish(plan, builder)
        assert bench.writes() == []


class TestARelease:
    async def test_layers_travel_once_and_each_further_tag_is_one_put(self, bench: Bench) -> None:
        published = await bench.publish(bench.plan(RELEASE))
        assert _outcomes(published) == {"sha-9c68c4a": WRITTEN, "v1.2.3": WRITTEN, "latest": WRITTEN}
        requests = bench.running.requests()
        ours = [request for request in requests if request.agent == "backend-pipeline"]
        puts = [request.path for request in ours if request.method not in {"GET", "HEAD"}]
        assert puts == [f"{MANIFESTS}{tag}" for tag in ("sha-9c68c4a", "v1.2.3", "latest")]
        assert not [request for request in ours if "/blobs/" in request.path]
        uploads = [r for r in requests if r.agent == BUILDER_AGENT and r.method == "PUT" and "/blobs/" in r.path]
        assert len(uploads) == 3  # two layers and the configuration

    async def test_write_once_tags_come_first_and_latest_last(self, bench: Bench) -> None:
        await bench.publish(bench.plan(RELEASE))
        assert bench.written() == ["incoming", "sha-9c68c4a", "v1.2.3", "latest"]

    async def test_all_tags_are_the_same_bytes(self, bench: Bench) -> None:
        plan = bench.plan(RELEASE)
        builder = bench.builder(plan)
        await bench.publish(plan, builder)
        assert bench.contents() == [builder.image.manifest] * 3

    async def test_a_release_of_a_commit_that_a_branch_built_is_those_very_bytes(self, bench: Bench) -> None:
        staged = await bench.publish(bench.plan())
        plan = bench.plan(RELEASE)
        builder = bench.builder(plan)
        released = await bench.publish(plan, builder)
        assert builder.calls == []
        assert released.outcome is REUSED
        assert released.digest == staged.digest
        assert _outcomes(released) == {"sha-9c68c4a": PRESENT, "v1.2.3": WRITTEN, "latest": WRITTEN}
        assert set(bench.digests().values()) == {staged.digest}
        assert bench.written() == ["incoming", "sha-9c68c4a", "master", "v1.2.3", "latest"]

    async def test_a_prerelease_leaves_latest_alone(self, bench: Bench) -> None:
        await bench.publish(bench.plan(f"{RELEASE}-rc.1"))
        assert set(bench.digests()) == {"sha-9c68c4a", "v1.2.3-rc.1"}

    async def test_its_image_is_found_by_the_version_where_the_commits_tag_was_deleted(self, bench: Bench) -> None:
        plan = bench.plan(RELEASE)
        first = await bench.publish(plan)
        bench.delete("sha-9c68c4a")
        assert set(bench.digests()) == {"v1.2.3", "latest"}
        again = bench.builder(plan)
        second = await bench.publish(plan, again)
        assert again.calls == []
        assert second.digest == first.digest
        assert _outcomes(second) == {"sha-9c68c4a": WRITTEN, "v1.2.3": PRESENT, "latest": PRESENT}


class TestLatest:
    async def _released(self, bench: Bench) -> Published:
        return await bench.publish(bench.plan("refs/tags/v2.0.0", OTHER_SHA))

    async def test_it_moves_to_a_higher_release(self, bench: Bench) -> None:
        first = await bench.publish(bench.plan(RELEASE))
        second = await self._released(bench)
        assert second.tags[-1].outcome is MOVED
        assert second.tags[-1].previous_digest == first.digest
        assert bench.digests()["latest"] == second.digest

    async def test_a_run_that_leaves_it_does_not_move_it_to_the_highest_release_either(self, bench: Bench) -> None:
        await self._released(bench)
        chosen = await bench.publish(bench.plan("refs/tags/v1.9.0", TWIN_SHA[::-1], latest=LatestPolicy.ALWAYS))
        patch = await bench.publish(bench.plan(RELEASE))
        assert patch.tags[-1].outcome is KEPT
        assert bench.digests()["latest"] == chosen.digest

    async def test_a_patch_of_an_old_line_leaves_it_with_the_reason(self, bench: Bench) -> None:
        newest = await self._released(bench)
        patch = await bench.publish(bench.plan(RELEASE))
        kept = patch.tags[-1]
        assert (kept.name, kept.outcome, kept.previous_digest) == ("latest", KEPT, newest.digest)
        assert kept.reason == "v2.0.0 is a higher release than v1.2.3"
        assert bench.digests()["latest"] == newest.digest
        assert bench.digests()["v1.2.3"] == patch.digest

    @pytest.mark.parametrize(
        "answer", [Answer(404), Answer(403), as_json({"tags": ["v0.1.0"]}), Answer(200, b"<html>")]
    )
    async def test_it_stays_where_the_list_of_tags_cannot_be_read_or_is_not_whole(
        self, registry: RunningRegistry, answer: Answer
    ) -> None:
        newest = await self._released(Bench(registry, registry.host))
        with proxy(registry.url, Fault("GET", f"/v2/{REPOSITORY}/tags/list", answer, times=99)) as front:
            bench, heard = Bench(registry, front.host), Heard()
            patch = await bench.publish(bench.plan(RELEASE), heard=heard)
        assert patch.tags[-1].outcome is KEPT
        assert "the list of tags cannot be read" in str(patch.tags[-1].reason)
        assert bench.digests()["latest"] == newest.digest
        assert not [line for line in heard.lines if "may have gone back" in line]

    async def test_a_list_of_tags_that_fails_once_is_asked_again(self, registry: RunningRegistry) -> None:
        await self._released(Bench(registry, registry.host))
        with proxy(registry.url, Fault("GET", f"/v2/{REPOSITORY}/tags/list", Answer(503))) as front:
            patch = await (bench := Bench(registry, front.host)).publish(bench.plan(RELEASE))
        assert patch.tags[-1].reason == "v2.0.0 is a higher release than v1.2.3"

    async def test_a_list_that_cannot_be_read_again_after_it_moved_is_told(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_tag, heard = Registry.put_tag, Heard()

        async def unreadable(_: Registry) -> list[str]:
            msg = "it is gone."
            raise RegistryError(msg)

        async def put_and_lose_the_list(self: Registry, tag: str, manifest: Manifest) -> None:
            await put_tag(self, tag, manifest)
            if tag == "latest":
                monkeypatch.setattr(Registry, "tags", unreadable)

        monkeypatch.setattr(Registry, "put_tag", put_and_lose_the_list)
        published = await bench.publish(bench.plan(RELEASE), heard=heard)
        assert published.tags[-1].outcome is WRITTEN
        assert heard.lines[-1] == "latest moved, but may have gone back: the list of tags cannot be read: it is gone."

    async def test_a_higher_release_that_is_written_meanwhile_gets_it_back(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other run may have ended before; so the one that moved it back is the one that puts it right."""
        put_tag = Registry.put_tag
        higher: list[Published] = []

        async def put_late(self: Registry, tag: str, manifest: Manifest) -> None:
            if tag == "latest" and not higher:
                monkeypatch.setattr(Registry, "put_tag", put_tag)
                higher.append(await bench.publish(bench.plan("refs/tags/v2.0.0", OTHER_SHA)))
            await put_tag(self, tag, manifest)

        monkeypatch.setattr(Registry, "put_tag", put_late)
        published = await bench.publish(bench.plan(RELEASE))
        kept = published.tags[-1]
        assert (kept.outcome, kept.previous_digest) == (KEPT, higher[0].digest)
        assert kept.reason == "v2.0.0 is a higher release than v1.2.3"
        assert bench.digests()["latest"] == higher[0].digest

    async def test_prereleases_branches_and_other_tags_do_not_hold_it_back(self, bench: Bench) -> None:
        bench.push(Image({}), "v9.0.0-rc.1", "nightly", "v9", "9.0.0", "sha-0000000")
        published = await bench.publish(bench.plan(RELEASE))
        assert published.tags[-1].outcome is WRITTEN

    async def test_always_moves_it_back(self, bench: Bench) -> None:
        await self._released(bench)
        patch = await bench.publish(bench.plan(RELEASE, latest=LatestPolicy.ALWAYS))
        assert patch.tags[-1].outcome is MOVED
        assert bench.digests()["latest"] == patch.digest

    async def test_never_leaves_it_even_for_the_first_release(self, bench: Bench) -> None:
        published = await bench.publish(bench.plan(RELEASE, latest=LatestPolicy.NEVER))
        assert set(_outcomes(published)) == {"sha-9c68c4a", "v1.2.3"}
        assert "latest" not in bench.digests()


LATER, EARLIER = datetime(2025, 11, 4, tzinfo=UTC), datetime(2025, 11, 2, tzinfo=UTC)


class WithoutConfiguration(Image):
    """An image whose configuration is not valid."""

    config = b"[]"


class TestABranchMovesForward:
    async def test_it_stays_on_the_image_of_a_descendant(self, bench: Bench) -> None:
        order = Order((SHA, OTHER_SHA))
        newer = await bench.publish(bench.plan(sha=OTHER_SHA), history=order)
        older = await bench.publish(bench.plan(), history=order)
        kept = older.tags[-1]
        assert (kept.outcome, kept.previous_digest) == (KEPT, newer.digest)
        assert kept.reason == ("it names the image of 0123456, a later commit than 9c68c4a; --force-move overrules")
        assert bench.digests()["master"] == newer.digest
        assert bench.digests()["sha-9c68c4a"] == older.digest

    async def test_force_move_overrules(self, bench: Bench) -> None:
        order = Order((SHA, OTHER_SHA))
        await bench.publish(bench.plan(sha=OTHER_SHA), history=order)
        back = await bench.publish(run_plan(bench.host, force_move=True), history=order)
        assert _outcomes(back)["master"] is MOVED
        assert bench.digests()["master"] == back.digest

    async def test_it_moves_where_the_branch_was_rewritten(self, bench: Bench) -> None:
        rewritten = Order((OTHER_SHA, SHA))  # the other one is no descendant, as after a reset
        await bench.publish(replace(bench.plan(sha=OTHER_SHA), commit=Commit(OTHER_SHA, time=LATER)), history=rewritten)
        assert _outcomes(await bench.publish(bench.plan(), history=rewritten))["master"] is MOVED

    @pytest.mark.parametrize(("time", "outcome"), [(LATER, KEPT), (TIME, MOVED), (EARLIER, MOVED), (None, MOVED)])
    async def test_the_commits_times_decide_where_git_does_not_hold_the_other_commit(
        self, bench: Bench, time: datetime | None, outcome: TagOutcome
    ) -> None:
        other = bench.plan(sha=OTHER_SHA)
        await bench.publish(replace(other, commit=replace(other.commit, time=time)))
        published = await bench.publish(bench.plan())
        assert _outcomes(published)["master"] is outcome
        if outcome is KEPT:
            assert "of 2025-11-04 00:00:00 UTC, later than 9c68c4a" in str(published.tags[-1].reason)

    async def test_it_moves_from_an_image_that_is_not_valid(self, bench: Bench) -> None:
        bench.push(WithoutConfiguration({}), "master")
        assert _outcomes(await bench.publish(bench.plan()))["master"] is MOVED

    async def test_a_run_that_ends_last_does_not_move_it_back(self, bench: Bench) -> None:
        order = Order((SHA, OTHER_SHA))
        builder = bench.builder(bench.plan())

        async def meanwhile() -> None:
            await bench.publish(bench.plan(sha=OTHER_SHA), history=order)

        builder.during_build = meanwhile
        older = await bench.publish(bench.plan(), builder, history=order)
        assert _outcomes(older) == {"sha-9c68c4a": WRITTEN, "master": KEPT}
        assert bench.digests()["master"] == bench.digests()["sha-0123456"]


class TestGuards:
    async def test_another_commit_with_the_same_seven_digits_is_a_collision(self, bench: Bench) -> None:
        await bench.publish(bench.plan())
        before = bench.digests()
        plan = bench.plan(sha=TWIN_SHA)
        builder = bench.builder(plan)
        with pytest.raises(CollisionError, match=f"'{SHA}', not of {TWIN_SHA}") as caught:
            await bench.publish(plan, builder)
        assert "sha-9c68c4a" in caught.value.message
        assert builder.calls == []
        assert bench.digests() == before

    async def test_a_commits_tag_that_does_not_say_its_commit_is_a_collision(self, bench: Bench) -> None:
        by_hand = bench.push(Image({}), "sha-9c68c4a")
        plan = bench.plan()
        builder = bench.builder(plan)
        with pytest.raises(CollisionError, match="its commit is unknown") as caught:
            await bench.publish(plan, builder)
        assert "delete that tag" in caught.value.hint
        assert builder.calls == []
        assert bench.digests() == {"sha-9c68c4a": by_hand}

    async def test_an_image_for_another_platform_than_asked_for_is_not_promoted(self, bench: Bench) -> None:
        await bench.publish(bench.plan())
        plan = bench.plan(RELEASE, platform=parse_platforms("linux/arm64/v8"))
        with pytest.raises(CollisionError, match=r"this commit for linux/amd64, not for linux/arm64/v8"):
            await bench.publish(plan)
        assert "v1.2.3" not in bench.digests()

    async def test_an_image_from_other_inputs_is_not_promoted(self, bench: Bench) -> None:
        first = await bench.publish(bench.plan())
        plan = bench.plan(RELEASE)
        inputs = plan.inputs.model_copy(update={"tree": "f" * 40, "dockerfile": "Containerfile"})
        builder = bench.builder(replace(plan, inputs=inputs))
        with pytest.raises(
            CollisionError, match=r"source tree f{12} instead of e{12}; Dockerfile 'Containerfile' instead"
        ):
            await bench.publish(builder.plan, builder)
        assert builder.calls == []
        assert bench.digests() == {"sha-9c68c4a": first.digest, "master": first.digest}

    async def test_an_image_that_does_not_record_its_inputs_is_promoted_with_a_notice(self, bench: Bench) -> None:
        by_hand = bench.push(Image({REVISION: SHA}), "sha-9c68c4a")
        heard = Heard()
        plan = bench.plan()
        async with open_registry(plan.image, None) as registry:
            published = await publish(plan, registry, bench.builder(plan), Order(), Steps(heard))
        assert published.digest == by_hand
        assert any("does not record what it was built from" in line for line in heard.lines)

    async def test_an_image_whose_record_is_of_another_version_is_refused(self, bench: Bench) -> None:
        bench.push(Image({REVISION: SHA, INPUTS: '{"new": 1}'}), "sha-9c68c4a")
        with pytest.raises(CollisionError, match="cannot be read"):
            await bench.publish(bench.plan())

    async def test_what_is_not_checked_out_is_not_built_but_promoted(self, bench: Bench) -> None:
        elsewhere = Commit(sha=OTHER_SHA)
        plan = replace(bench.plan(), checked_out=elsewhere)
        builder = bench.builder(plan)
        with pytest.raises(SourceMismatchError, match="9c68c4a must be built, but commit 0123456 is checked out"):
            await bench.publish(plan, builder)
        assert builder.calls == []
        assert bench.digests() == {}

        await bench.publish(bench.plan())
        released = await bench.publish(replace(bench.plan(RELEASE), checked_out=elsewhere))
        assert released.outcome is REUSED

    async def test_a_version_of_another_commit_is_refused_before_anything_is_built(self, bench: Bench) -> None:
        first = await bench.publish(bench.plan(RELEASE))
        plan = bench.plan(RELEASE, OTHER_SHA)
        builder = bench.builder(plan)
        with pytest.raises(WriteOnceError, match=rf"v1\.2\.3 already points to {first.digest}"):
            await bench.publish(plan, builder)
        assert builder.calls == []
        assert "sha-0123456" not in bench.digests()

    async def test_a_version_of_the_same_commit_from_other_inputs_is_refused(self, bench: Bench) -> None:
        await bench.publish(bench.plan())
        other = bench.plan().inputs.model_copy(update={"target": "debug"})
        rebuilt = bench.push(Image({REVISION: SHA, INPUTS: other.document()}), "v1.2.3")
        with pytest.raises(WriteOnceError, match="target '' instead of 'debug'") as caught:
            await bench.publish(bench.plan(RELEASE))
        assert rebuilt in caught.value.message
        assert "latest" not in bench.digests()

    async def test_a_version_of_the_same_commit_and_inputs_is_adopted_and_the_commits_tag_moves_to_it(
        self, bench: Bench
    ) -> None:
        staged = await bench.publish(bench.plan())
        plan = bench.plan(RELEASE)
        rebuilt = bench.push(Image(bench.builder(plan).image.labels, (b"base", b"rebuilt")), "v1.2.3")
        released = await bench.publish(plan)
        assert released.digest == rebuilt
        assert released.outcome is REUSED
        assert _outcomes(released) == {"sha-9c68c4a": MOVED, "v1.2.3": PRESENT, "latest": WRITTEN}
        assert released.tags[0].previous_digest == staged.digest
        assert released.tags[0].reason == "it moves to the image that other tags of this commit point to"
        again = await bench.publish(bench.plan())
        assert _outcomes(again) == {"sha-9c68c4a": PRESENT, "master": MOVED}
        assert set(bench.digests().values()) == {rebuilt}

    async def test_a_version_that_another_run_writes_while_this_one_builds_is_refused(self, bench: Bench) -> None:
        plan = bench.plan(RELEASE)
        builder = bench.builder(plan)

        async def meanwhile() -> None:
            bench.push(Image({REVISION: OTHER_SHA}), "v1.2.3")

        builder.during_build = meanwhile
        with pytest.raises(WriteOnceError, match=r"v1\.2\.3 already points to") as caught:
            await bench.publish(plan, builder)
        assert "Done: sha-9c68c4a; not written: v1.2.3, latest." in caught.value.message
        assert f"This run's image is {builder.image.digest}." in caught.value.message
        assert "latest" not in bench.digests()

    async def test_a_moving_tag_never_collides(self, bench: Bench) -> None:
        bench.push(Image({}), "master")
        published = await bench.publish(bench.plan())
        assert _outcomes(published)["master"] is MOVED


class TestTogetherWithOthers:
    async def test_a_branch_and_a_release_of_one_commit_at_once_end_on_one_image(self, bench: Bench) -> None:
        """What `git push --follow-tags` starts; both builds are ready before either image is uploaded."""
        ready = [anyio.Event(), anyio.Event()]
        published: list[Published] = []

        async def one(ref: str, number: int) -> None:
            plan = bench.plan(ref)
            builder = bench.builder(plan)
            builder.files = (b"base", b"%d" % number)

            async def meet() -> None:
                ready[number].set()
                await ready[1 - number].wait()

            builder.during_build = meet
            published.append(await bench.publish(plan, builder))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "refs/heads/master", 0)
            tasks.start_soon(one, RELEASE, 1)
        assert set(bench.digests()) == {"sha-9c68c4a", "master", "v1.2.3", "latest"}
        assert len(set(bench.digests().values())) == 1
        assert {run.digest for run in published} == set(bench.digests().values())
        assert sorted(run.outcome for run in published) == [BUILT, REUSED]

    async def test_a_version_that_moves_since_the_run_started_follows_the_commits_tag(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = bench.plan(RELEASE)
        released, later = (replace(bench.builder(plan).image, files=(name,)) for name in (b"released", b"later"))
        await bench.publish(bench.plan())
        bench.push(released, "v1.2.3")
        put_tag = Registry.put_tag

        async def put_while_another_run_moves_the_version(self: Registry, tag: str, manifest: Manifest) -> None:
            if bench.digests()["v1.2.3"] != later.digest and tag == "sha-9c68c4a":
                bench.push(later, "v1.2.3")
            await put_tag(self, tag, manifest)

        monkeypatch.setattr(Registry, "put_tag", put_while_another_run_moves_the_version)
        published = await bench.publish(plan)
        assert published.digest == released.digest
        assert bench.digests() == dict.fromkeys(["sha-9c68c4a", "v1.2.3", "latest"], released.digest) | {
            "master": bench.digests()["master"]
        }

    async def test_the_image_that_another_run_uploads_meanwhile_is_used(self, bench: Bench) -> None:
        plan = bench.plan(RELEASE)
        builder = bench.builder(plan)
        theirs = Image(builder.image.labels, (b"base", b"theirs"))

        async def meanwhile() -> None:
            bench.push(theirs, "sha-9c68c4a")

        builder.during_build = meanwhile
        published = await bench.publish(plan, builder)
        assert builder.calls == ["build"]
        assert published.outcome is REUSED
        assert published.digest == theirs.digest
        assert _outcomes(published) == {"sha-9c68c4a": PRESENT, "v1.2.3": WRITTEN, "latest": WRITTEN}

    async def test_a_run_that_loses_the_commits_tag_writes_no_other_tag_before_it_knows(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan, heard = bench.plan(RELEASE), Heard()
        other = replace(bench.builder(plan).image, files=(b"other",))
        put_tag = Registry.put_tag

        async def put_and_lose(self: Registry, tag: str, manifest: Manifest) -> None:
            await put_tag(self, tag, manifest)
            if tag == "sha-9c68c4a":
                bench.push(other, tag)

        monkeypatch.setattr(Registry, "put_tag", put_and_lose)
        published = await bench.publish(plan, heard=heard)
        assert (published.digest, published.outcome) == (other.digest, REUSED)
        assert bench.written() == ["incoming", "sha-9c68c4a", "sha-9c68c4a", "v1.2.3", "latest"]
        assert [line for line in heard.lines if "Another run has published this commit meanwhile" in line]

    async def test_another_commit_that_takes_the_tag_meanwhile_is_a_collision(self, bench: Bench) -> None:
        plan = bench.plan()
        builder = bench.builder(plan)

        async def meanwhile() -> None:
            bench.push(Image({REVISION: TWIN_SHA}), "sha-9c68c4a")

        builder.during_build = meanwhile
        with pytest.raises(CollisionError):
            await bench.publish(plan, builder)
        assert builder.calls == ["build"]

    async def test_a_tag_that_another_run_moves_at_once_is_reported(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = Image({REVISION: OTHER_SHA})
        put_tag = Registry.put_tag

        async def put_and_lose(self: Registry, tag: str, manifest: Manifest) -> None:
            await put_tag(self, tag, manifest)
            if tag == "master":
                bench.push(other, tag)

        monkeypatch.setattr(Registry, "put_tag", put_and_lose)
        with pytest.raises(RegistryError, match=rf"do not all point to .*master pointed to {other.digest}"):
            await bench.publish(bench.plan())


class TestADirtyTree:
    async def test_it_writes_its_own_tag_alone(self, bench: Bench) -> None:
        plan = bench.plan(RELEASE).for_dirty_tree("content")
        published = await bench.publish(plan)
        (tag,) = published.tags
        assert re.fullmatch(r"sha-9c68c4a-dirty-[0-9a-f]{8}", tag.name)
        assert tag.outcome is WRITTEN
        assert bench.digests() == {tag.name: published.digest}

    async def test_a_clean_build_of_the_commit_is_not_mistaken_for_it(self, bench: Bench) -> None:
        dirty = await bench.publish(bench.plan().for_dirty_tree("content"))
        clean = await bench.publish(bench.plan())
        assert clean.outcome is BUILT
        assert clean.digest != dirty.digest
        assert len(bench.digests()) == 3

    async def test_the_same_content_is_not_built_twice(self, bench: Bench) -> None:
        plan = bench.plan().for_dirty_tree("content")
        await bench.publish(plan)
        assert (await bench.publish(plan)).outcome is REUSED
        assert (await bench.publish(bench.plan().for_dirty_tree("more"))).outcome is BUILT


class TestAnIndex:
    PLATFORMS = parse_platforms("linux/amd64,linux/arm64")

    def _pushed(self, bench: Bench, *images: Image) -> bytes:
        """Put an index of images under the commit's tag."""
        index = index_of({f"linux/{image.architecture}": image for image in images})
        for image in images:
            bench.push(image)
        with bench.running.client() as client:
            put_manifest(client, REPOSITORY, "sha-9c68c4a", index, INDEX)
        return index

    async def test_is_promoted_as_an_image_is(self, bench: Bench) -> None:
        index = self._pushed(bench, Image({REVISION: SHA}), Image({REVISION: SHA}, architecture="arm64"))
        published = await bench.publish(bench.plan(RELEASE, platform=self.PLATFORMS))
        assert published.outcome is REUSED
        assert published.digest == digest_of(index)
        assert published.platform == "linux/amd64,linux/arm64"
        assert bench.contents() == [index] * 3

    async def test_with_an_image_of_another_commit_is_a_collision(self, bench: Bench) -> None:
        self._pushed(bench, Image({REVISION: SHA}), Image({REVISION: OTHER_SHA}, architecture="arm64"))
        with pytest.raises(CollisionError, match=f"the image of commit '{OTHER_SHA}'"):
            await bench.publish(bench.plan(platform=self.PLATFORMS))

    async def test_without_an_image_does_not_say_its_commit(self, bench: Bench) -> None:
        self._pushed(bench)
        with pytest.raises(CollisionError, match="its commit is unknown"):
            await bench.publish(bench.plan())

    async def test_for_other_platforms_is_refused(self, bench: Bench) -> None:
        self._pushed(bench, Image({REVISION: SHA}), Image({REVISION: SHA}, architecture="arm64"))
        with pytest.raises(CollisionError, match=r"for linux/amd64,linux/arm64, not for linux/amd64\.\n"):
            await bench.publish(bench.plan())
        with pytest.raises(CollisionError, match=r"for linux/amd64,linux/arm64, not for linux/amd64,linux/s390x\."):
            await bench.publish(bench.plan(platform=parse_platforms("linux/amd64,linux/s390x")))

    async def test_a_single_image_is_not_taken_for_it(self, bench: Bench) -> None:
        await bench.publish(bench.plan())
        with pytest.raises(CollisionError, match=r"for linux/amd64, not for linux/amd64,linux/arm64\."):
            await bench.publish(bench.plan(platform=self.PLATFORMS))

    async def test_that_was_uploaded_without_a_platform_gets_no_further_tag(self, bench: Bench) -> None:
        with pytest.raises(BuildError, match="uploaded as a single image, not as an index for"):
            await bench.publish(bench.plan(RELEASE, platform=self.PLATFORMS))
        assert bench.digests() == {}


UNAVAILABLE = Answer(503, b"<html>Service Unavailable</html>", {"Content-Type": "text/html"})


class TestFailuresThatPass:
    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("fault", [UNAVAILABLE, DROP, Answer(429, headers={"Retry-After": "0"})])
    async def test_nobody_needs_to_run_it_again(self, registry: RunningRegistry, fault: Answer, *, after: bool) -> None:
        faults = [Fault(method, ".*", fault, times=3, after=after) for method in ("GET", "HEAD", "PUT")]
        with proxy(registry.url, *faults) as front:
            bench = Bench(registry, front.host)
            published = await bench.publish(bench.plan(RELEASE))
        assert _outcomes(published) == {"sha-9c68c4a": WRITTEN, "v1.2.3": WRITTEN, "latest": WRITTEN}
        assert set(bench.digests().values()) == {published.digest}

    async def test_an_upload_that_may_pass_is_tried_again(self, bench: Bench) -> None:
        plan = bench.plan()
        builder = bench.builder(plan)
        builder.upload_fails = 3
        published = await bench.publish(plan, builder)
        assert builder.calls == ["build", *[f"upload {bench.host}/{REPOSITORY}:incoming"] * 4]
        assert published.outcome is BUILT

    async def test_an_upload_that_does_not_pass_is_reported(self, bench: Bench) -> None:
        plan = bench.plan()
        builder = bench.builder(plan)
        builder.upload_fails = 99
        with pytest.raises(RegistryError, match=r"short read\. Tried \d+ times in \d+ s\."):
            await bench.publish(plan, builder)
        assert bench.digests() == {}


class TestHalfWay:
    @pytest.mark.parametrize("fault", [UNAVAILABLE, DROP, Answer(429, headers={"Retry-After": "0"})])
    @pytest.mark.parametrize(
        ("tag", "done", "missing"),
        [
            ("v1.2.3", ["sha-9c68c4a"], ["v1.2.3", "latest"]),
            ("latest", ["sha-9c68c4a", "v1.2.3"], ["latest"]),
        ],
    )
    async def test_it_says_what_is_written_and_a_second_run_finishes(
        self, registry: RunningRegistry, tag: str, done: list[str], missing: list[str], fault: Answer
    ) -> None:
        broken = Fault("PUT", f"{MANIFESTS}{re.escape(tag)}", fault, times=99)
        with proxy(registry.url, broken) as front:
            bench = Bench(registry, front.host)
            plan = bench.plan(RELEASE)
            with pytest.raises(RegistryError) as caught:
                await bench.publish(plan)
            assert f"Done: {', '.join(done)}; " in str(caught.value)
            assert f"not known: {tag}." in str(caught.value)
            assert ("not written: latest" in str(caught.value)) is (tag != "latest")
            assert sorted(bench.digests()) == sorted(done)
            broken.times = 0
            again = bench.builder(plan)
            published = await bench.publish(plan, again)
        assert again.calls == []
        assert _outcomes(published) == dict.fromkeys(done, PRESENT) | dict.fromkeys(missing, WRITTEN)
        assert set(bench.digests().values()) == {published.digest}

    async def test_an_error_after_every_tag_was_written_names_none(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_tag, failure = Registry.put_tag, RegistryError("The last reading failed.")

        async def unreadable(_: Registry, __: str) -> str | None:
            raise failure

        async def put_before_it_fails(self: Registry, tag: str, manifest: Manifest) -> None:
            await put_tag(self, tag, manifest)
            if tag == "latest":
                monkeypatch.setattr(Registry, "digest_of", unreadable)

        monkeypatch.setattr(Registry, "put_tag", put_before_it_fails)
        with pytest.raises(RegistryError, match=r"^The last reading failed\.$"):
            await bench.publish(bench.plan(RELEASE))
        assert sorted(bench.digests()) == ["latest", "sha-9c68c4a", "v1.2.3"]

    async def test_a_write_whose_answer_was_lost_is_found(self, registry: RunningRegistry) -> None:
        with proxy(registry.url, Fault("PUT", f"{MANIFESTS}latest", DROP, times=99, after=True)) as front:
            bench = Bench(registry, front.host)
            published = await bench.publish(bench.plan(RELEASE))
        assert _outcomes(published) == {"sha-9c68c4a": WRITTEN, "v1.2.3": WRITTEN, "latest": WRITTEN}
        assert set(bench.digests().values()) == {published.digest}

    async def test_a_write_that_may_have_been_done_is_called_so(self, registry: RunningRegistry) -> None:
        with proxy(registry.url) as front:
            passed_on = front.handler

            def silent_from_then_on(request: Asked) -> Answer:
                answer = passed_on(request)
                return DROP if f"PUT {MANIFESTS}v1.2.3" in front.lines() else answer

            front.handler = silent_from_then_on
            bench = Bench(registry, front.host)
            with pytest.raises(RegistryError) as caught:
                await bench.publish(bench.plan(RELEASE))
        assert "Done: sha-9c68c4a; not written: latest; not known: v1.2.3." in caught.value.message
        assert "v1.2.3" in bench.digests()

    async def test_an_upload_that_cannot_be_read_back_leaves_no_tag(self, registry: RunningRegistry) -> None:
        unavailable = Fault("GET", f"{MANIFESTS}sha256:.*", UNAVAILABLE, times=99)
        with proxy(registry.url, unavailable) as front:
            bench = Bench(registry, front.host)
            with pytest.raises(RegistryError, match="HTTP 503"):
                await bench.publish(bench.plan())
            assert bench.digests() == {}
            unavailable.times = 0
            assert _outcomes(await bench.publish(bench.plan())) == {"sha-9c68c4a": WRITTEN, "master": WRITTEN}

    async def test_no_right_to_write_is_told_with_the_way_out(self, registry: RunningRegistry) -> None:
        denied = as_json({"errors": [{"code": "DENIED", "message": "permission_denied: write_package"}]}, 403)
        with proxy(registry.url, Fault("PUT", f"{MANIFESTS}.*", denied, times=99)) as front:
            bench = Bench(registry, front.host)
            with pytest.raises(AuthError, match="DENIED permission_denied: write_package") as caught:
                await bench.publish(bench.plan())
        assert "Done: no tag; not written: sha-9c68c4a, master." in caught.value.message

    async def test_a_registry_that_does_not_answer_is_told_before_anything_is_built(
        self, registry: RunningRegistry
    ) -> None:
        with proxy(registry.url, Fault("GET", "/v2/", UNAVAILABLE, times=99)) as front:
            bench = Bench(registry, front.host)
            builder = bench.builder(bench.plan())
            with pytest.raises(RegistryError, match="HTTP 503"):
                await bench.publish(builder.plan, builder)
        assert builder.calls == []

    async def test_an_upload_that_the_registry_does_not_have_is_an_error(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def nothing(self: Builder, plan: RunPlan, reference: str) -> str:
            del self, plan, reference
            return DIGEST

        monkeypatch.setattr(Builder, "upload", nothing)
        with pytest.raises(RegistryError, match=f"{DIGEST} was uploaded, but is not in the registry"):
            await bench.publish(bench.plan())
        assert bench.digests() == {}

    async def test_a_release_that_is_latest_already_needs_no_list_of_tags(self, bench: Bench) -> None:
        await bench.publish(bench.plan(RELEASE))
        before = len(bench.running.requests())
        assert _outcomes(await bench.publish(bench.plan(RELEASE)))["latest"] is PRESENT
        assert [r.path for r in bench.running.requests()[before:] if r.path.endswith("/tags/list")] == []

    async def test_a_tag_that_one_head_does_not_find_is_not_written_again(self, registry: RunningRegistry) -> None:
        missing = Fault("HEAD", f"{MANIFESTS}sha-9c68c4a", Answer(404), times=0)
        with proxy(registry.url, missing) as front:
            bench, heard = Bench(registry, front.host), Heard()
            await bench.publish(bench.plan())
            missing.times, before = 1, len(bench.writes())
            second = await bench.publish(bench.plan(), heard=heard)
        assert missing.times == 0
        assert _outcomes(second) == {"sha-9c68c4a": PRESENT, "master": PRESENT}
        assert len(bench.writes()) == before
        assert heard.lines == [
            "check the registry",
            "The image of commit 9c68c4a is already in the registry.",
            "write the tags",
        ]

    async def test_no_run_is_refused_by_what_a_head_alone_says(self, registry: RunningRegistry) -> None:
        """A cache on the way may answer with the image of another tag that the run has read before."""
        other = Image({REVISION: TWIN_SHA})
        stale = Fault("HEAD", f"{MANIFESTS}sha-9c68c4a", Answer(200, headers={"Docker-Content-Digest": other.digest}))
        with proxy(registry.url, stale) as front:
            bench = Bench(registry, front.host)
            bench.push(other, "master")
            published = await bench.publish(bench.plan())
        assert stale.times == 0
        assert bench.digests() == {"sha-9c68c4a": published.digest, "master": published.digest}

    async def test_a_wrong_digest_in_the_answer_to_a_write_is_no_failure(self, registry: RunningRegistry) -> None:
        changed = Answer(201, headers={"Docker-Content-Digest": "sha256:" + "0" * 64})
        with proxy(registry.url, Fault("PUT", f"{MANIFESTS}.*", changed, after=True, times=99)) as front:
            bench = Bench(registry, front.host)
            published = await bench.publish(bench.plan())
        assert set(bench.digests().values()) == {published.digest}

    async def test_a_registry_that_claims_to_have_written_is_asked_again(self, registry: RunningRegistry) -> None:
        claim = Fault("PUT", f"{MANIFESTS}master", Answer(201))
        with proxy(registry.url, claim) as front:
            bench = Bench(registry, front.host)
            await bench.publish(bench.plan())
            assert set(bench.digests()) == {"sha-9c68c4a", "master"}
            bench.delete("master")
            claim.times = 99
            with pytest.raises(RegistryError, match=r"when they were read again, .*master was missing"):
                await bench.publish(bench.plan())


class TestAWholeRun:
    async def _run(self, plan: RunPlan, builder: Builder, heard: Heard) -> dict[str, object]:
        report = await publish_run(plan, builder, RegistryAccess(), Order(), heard)
        return report.model_dump(mode="json")

    async def test_it_is_reported_whole(self, bench: Bench) -> None:
        plan = bench.plan(RELEASE)
        builder, heard = bench.builder(plan), Heard()
        report = await self._run(plan, builder, heard)
        image = f"{bench.host}/{REPOSITORY}"
        digest = builder.image.digest
        assert report | {"steps": [], "tags": [], "commit": {}} == {
            "schema_version": 1,
            "image": image,
            "digest": digest,
            "reference": f"{image}@{digest}",
            "primary": f"{image}:sha-9c68c4a",
            "tags": [],
            "commit": {},
            "ref": RELEASE,
            "version": "v1.2.3",
            "built": True,
            "outcome": "built",
            "relabelled_from": None,
            "platform": "linux/amd64",
            "steps": [],
        }
        steps = ["check the registry", "build the image", "upload the image", "write the tags"]
        assert heard.lines == steps
        told = report["steps"]
        assert isinstance(told, list)
        assert [step["name"] for step in told] == steps

    async def test_a_promotion_says_that_the_image_was_there(self, bench: Bench) -> None:
        await bench.publish(bench.plan())
        plan, heard = bench.plan(RELEASE), Heard()
        report = await self._run(plan, bench.builder(plan), heard)
        assert report["built"] is False
        assert "The image of commit 9c68c4a is already in the registry." in heard.lines
        assert "build the image" not in heard.lines

    async def test_a_plan_that_may_not_be_published_is_refused_before_anything_is_done(self, bench: Bench) -> None:
        unowned = plan_run(RunRequest(registry="registry.invalid"), checkout(origin=None))
        dirty = run_plan(bench.host, dirty=("a.rb",))
        for plan, error in ((unowned, ImageNameError), (dirty, DirtyTreeError)):
            builder, heard = bench.builder(plan), Heard()
            with pytest.raises(error):
                await self._run(plan, builder, heard)
            assert heard.lines == list(plan.notices)
            assert builder.calls == []
        assert bench.running.requests() == []

    async def test_a_dirty_tree_that_is_allowed_is_published_under_its_own_tag_alone(self, bench: Bench) -> None:
        plan = run_plan(bench.host, RELEASE, dirty=("a.rb",), allow_dirty=True)
        builder = bench.builder(plan)
        report = await self._run(plan, builder, Heard())
        (tag,) = bench.digests()
        assert tag == plan.for_dirty_tree(digest_of(b"baseapp")).tags.primary.name
        assert report["primary"] == f"{bench.host}/{REPOSITORY}:{tag}"
        assert builder.calls == ["content", "build", f"upload {bench.host}/{REPOSITORY}:incoming"]

    async def test_a_clean_tree_is_not_read(self, bench: Bench) -> None:
        plan = run_plan(bench.host, allow_dirty=True)
        builder = bench.builder(plan)
        await self._run(plan, builder, Heard())
        assert "content" not in builder.calls
        assert set(bench.digests()) == {"sha-9c68c4a", "master"}

    async def test_what_a_tag_names_is_found(self, bench: Bench) -> None:
        plan = bench.plan()
        with pytest.raises(NotPublishedError, match="sha-9c68c4a is not in the registry") as caught:
            await published_image(plan, None, RegistryAccess(), Heard())
        assert caught.value.exit_code == 2
        published = await bench.publish(plan)
        assert (await published_image(plan, None, RegistryAccess(), Heard())).digest == published.digest
        assert await published_image(plan, DIGEST, RegistryAccess(), Heard()) == PublishedImage(DIGEST)
        with pytest.raises(UsageError, match="'sha-9c68c4a' is not a valid digest"):
            await published_image(plan, "sha-9c68c4a", RegistryAccess(), Heard())


async def test_a_registry_with_a_password_is_written_with_one_question(registry_with_auth: RunningRegistry) -> None:
    bench = Bench(registry_with_auth, registry_with_auth.host)
    plan = bench.plan(RELEASE)
    credentials = Credentials(username=registry_with_auth.user, password=SecretStr(registry_with_auth.password))
    report = await publish_run(plan, bench.builder(plan), RegistryAccess(credentials), Order(), Heard())
    assert [tag.outcome for tag in report.tags] == [WRITTEN] * 3
    refused = [request for request in registry_with_auth.requests() if request.status == 401]
    assert len([request for request in refused if request.agent == "backend-pipeline"]) == 1


async def test_a_registry_with_a_password_is_not_written_without(registry_with_auth: RunningRegistry) -> None:
    bench = Bench(registry_with_auth, registry_with_auth.host)
    builder = bench.builder(bench.plan())
    with pytest.raises(AuthError):
        await bench.publish(builder.plan, builder)
    assert builder.calls == []


@pytest.mark.parametrize("at_once", [2, 5])
async def test_runs_of_the_same_commit_at_once_all_end_on_one_digest(
    bench: Bench, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reproducible builds make the same bytes; whoever is later finds them there.

    docker-registry answers 500 while another writes the tag that is asked for, so these runs do wait.
    """
    monkeypatch.setattr("pipeline.registry.retry._sleep", anyio.sleep)

    published: list[Published] = []

    async def one() -> None:
        published.append(await bench.publish(bench.plan(RELEASE)))

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(one)
    assert len({run.digest for run in published}) == 1
    assert set(bench.digests().values()) == {published[0].digest}


async def test_an_error_names_no_tag_twice(bench: Bench) -> None:
    plan = bench.plan(RELEASE)
    builder = bench.builder(plan)

    async def meanwhile() -> None:
        bench.push(Image({REVISION: OTHER_SHA}), "v1.2.3")

    builder.during_build = meanwhile
    with pytest.raises(PipelineError) as caught:
        await bench.publish(plan, builder)
    assert caught.value.message.count("Done:") == 1
