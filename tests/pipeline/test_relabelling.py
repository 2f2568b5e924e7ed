from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from pipeline.publishing import Published
from pipeline.registry.client import open_registry
from pipeline.registry.manifests import ImageProperties, Manifest, StoredImage, image_properties
from pipeline.relabelling import Candidate, find_candidate, relabelling
from pipeline.rules.age import parse_age
from pipeline.rules.build_inputs import INPUTS, Recipe
from pipeline.rules.errors import AuthError, RegistryError
from pipeline.rules.labels import CREATED, GIVEN, REVISION
from pipeline.rules.planning import RunPlan
from pipeline.rules.platforms import parse_platforms
from pipeline.rules.report import ImageOutcome, TagOutcome
from tests.pipeline.bench import MANIFESTS, REPOSITORY, Bench, Heard
from tests.pipeline.images import MANIFEST, Image, digest_of, index_of, put_manifest
from tests.pipeline.samples import DIGEST, OTHER_SHA, SHA, Order, run_plan
from tests.pipeline.servers import Answer, Fault, proxy
from tests.registry_fixtures import RunningRegistry

pytestmark = pytest.mark.registry

NOW = datetime.now(UTC)
YESTERDAY = (NOW - timedelta(days=1)).isoformat()
BRANCH, RELEASE = "refs/heads/master", "refs/tags/v1.2.3"
BUILT, RELABELLED, REUSED = ImageOutcome.BUILT, ImageOutcome.RELABELLED, ImageOutcome.REUSED
BLOBS = f"/v2/{REPOSITORY}/blobs/"


def _image(plan: RunPlan, created: str | None = YESTERDAY, **labels: str) -> Image:
    return Image({**plan.labels({}), **labels}, created=created)


async def _publish(bench: Bench, plan: RunPlan) -> tuple[Published, list[str]]:
    """Publish, and return what the builder was asked for."""
    builder = bench.builder(plan)
    return await bench.publish(plan, builder, Order((SHA, OTHER_SHA))), builder.calls


def _config(bench: Bench, digest: str) -> dict[str, Any]:
    with bench.running.client() as client:
        manifest = client.get(MANIFESTS + digest, headers={"Accept": MANIFEST}).raise_for_status().json()
        found: dict[str, Any] = client.get(BLOBS + manifest["config"]["digest"]).raise_for_status().json()
    return found


class TestACommitThatDoesNotTouchTheSource:
    async def test_its_image_is_the_last_one_with_its_own_labels(self, bench: Bench) -> None:
        before, plan = bench.plan(), bench.plan(sha=OTHER_SHA)
        there = bench.push(_image(before), "sha-9c68c4a", "master")
        published, built = await _publish(bench, plan)
        assert built == []
        assert published.outcome is RELABELLED
        assert published.relabelled_from is not None
        assert published.relabelled_from.model_dump() == {
            "reference": f"{bench.host}/{REPOSITORY}:master",
            "digest": there,
            "commit": SHA,
        }
        assert {tag.name: tag.outcome for tag in published.tags} == {
            "sha-0123456": TagOutcome.WRITTEN,
            "master": TagOutcome.MOVED,
        }
        assert bench.digests() == {"sha-9c68c4a": there, "sha-0123456": published.digest, "master": published.digest}
        assert _config(bench, published.digest) == json.loads(_image(plan).config)

    async def test_no_layer_is_read_or_sent_and_each_tag_is_one_put(self, bench: Bench) -> None:
        image = _image(bench.plan())
        bench.push(image, "master")
        first = len(bench.running.requests())
        published, _ = await _publish(bench, bench.plan(sha=OTHER_SHA))
        requests = bench.running.requests()[first:]
        read = [request.path for request in requests if request.method == "GET" and request.status == 200]
        assert read == ["/v2/", f"{MANIFESTS}master", BLOBS + digest_of(image.config)]
        written = [f"{r.method} {r.path}" for r in requests if r.method not in {"GET", "HEAD"}]
        assert written[0] == f"POST {BLOBS}uploads/"
        assert written[1].startswith(f"PUT {BLOBS}uploads/")
        assert written[2:] == [f"PUT {MANIFESTS}{name}" for name in (published.digest, "sha-0123456", "master")]

    async def test_the_bytes_follow_from_the_image_and_the_commit_not_from_who_writes_them(self, bench: Bench) -> None:
        bench.push(_image(bench.plan()), "master")
        one, _ = await _publish(bench, bench.plan(sha=OTHER_SHA))
        bench.delete("sha-0123456")
        bench.push(_image(bench.plan()), "latest", "master")
        other, _ = await _publish(bench, bench.plan(RELEASE, sha=OTHER_SHA))
        assert (one.digest, one.outcome) == (other.digest, other.outcome)

    async def test_it_may_be_relabelled_again_and_its_layers_keep_their_age(self, bench: Bench) -> None:
        bench.push(_image(bench.plan()), "master")
        await _publish(bench, bench.plan(sha=OTHER_SHA))
        third = "f" * 40
        published, built = await _publish(bench, bench.plan(sha=third))
        assert (built, published.outcome) == ([], RELABELLED)
        config = _config(bench, published.digest)
        assert (config["created"], config["config"]["Labels"][REVISION]) == (YESTERDAY, third)

    @pytest.mark.parametrize(
        ("ref", "tag"),
        [("refs/heads/topic", "master"), ("refs/heads/topic", "main"), (RELEASE, "latest"), (RELEASE, "master")],
    )
    async def test_the_default_branch_and_the_last_release_are_looked_at_too(
        self, bench: Bench, ref: str, tag: str
    ) -> None:
        bench.push(_image(bench.plan()), tag)
        published, built = await _publish(bench, bench.plan(ref, OTHER_SHA))
        assert (built, published.outcome) == ([], RELABELLED)

    async def test_a_default_branch_that_git_knows_takes_the_place_of_the_usual_names(self, bench: Bench) -> None:
        plan = replace(bench.plan("refs/heads/topic", OTHER_SHA), default_branch="trunk/x")
        assert plan.likely_tags == ("topic", "trunk-x", "latest")
        bench.push(_image(bench.plan()), "trunk-x")
        assert (await _publish(bench, plan))[0].outcome is RELABELLED

    async def test_an_index_gets_new_labels_in_each_image_and_loses_what_is_no_image(self, bench: Bench) -> None:
        both = parse_platforms("linux/amd64,linux/arm64")
        before, plan = bench.plan(platform=both), bench.plan(sha=OTHER_SHA, platform=both)
        images = {
            f"linux/{architecture}": replace(_image(before), architecture=architecture, files=(architecture.encode(),))
            for architecture in ("amd64", "arm64")
        }
        attestation = Image({}, files=(b"attestation",))
        index = json.loads(index_of({**images, "unknown/unknown": attestation}))
        index["annotations"] = {"kept": "yes"}
        with bench.running.client() as client:
            for image in (*images.values(), attestation):
                image.push(client, REPOSITORY)
            put_manifest(client, REPOSITORY, "master", json.dumps(index).encode(), index["mediaType"])
        published, built = await _publish(bench, plan)
        assert (built, published.outcome) == ([], RELABELLED)
        (found,) = {content for content in bench.contents() if digest_of(content) == published.digest}
        written = json.loads(found)
        assert written["annotations"] == {"kept": "yes"}
        assert [each["platform"]["architecture"] for each in written["manifests"]] == ["amd64", "arm64"]
        for descriptor in written["manifests"]:
            labels = _config(bench, descriptor["digest"])["config"]["Labels"]
            assert labels == plan.labels({})
        again, built = await _publish(bench, plan)
        assert (built, again.outcome, again.digest) == ([], REUSED, published.digest)

    async def test_the_labels_of_the_dockerfile_stay(self, bench: Bench) -> None:
        title = "org.opencontainers.image.title"
        bench.push(_image(bench.plan(), maintainer="mona", **{title: "From the Dockerfile"}), "master")
        published, _ = await _publish(bench, bench.plan(sha=OTHER_SHA))
        labels = _config(bench, published.digest)["config"]["Labels"]
        assert (labels["maintainer"], labels[title], labels[REVISION]) == ("mona", "From the Dockerfile", OTHER_SHA)

    async def test_labels_of_the_caller_are_replaced(self, bench: Bench) -> None:
        bench.push(_image(_labelled(bench.plan(), team="one")), "master")
        published, built = await _publish(bench, _labelled(bench.plan(sha=OTHER_SHA), team="two"))
        labels = _config(bench, published.digest)["config"]["Labels"]
        assert (built, labels["team"], labels[GIVEN]) == ([], "two", "team")

    async def test_an_image_of_this_very_commit_without_its_own_tag_is_used_as_it_is(self, bench: Bench) -> None:
        plan = bench.plan()
        there = bench.push(_image(plan, created=None), "master")
        published, built = await _publish(bench, plan)
        assert (built, published.outcome, published.digest) == ([], REUSED, there)

    async def test_runs_at_once_that_relabel_different_images_end_on_one(self, registry: RunningRegistry) -> None:
        bench = Bench(registry, registry.host)
        bench.push(_image(bench.plan()), "master")
        bench.push(replace(_image(bench.plan()), files=(b"other",)), "latest")
        ends: list[Published] = []

        async def run(plan: RunPlan) -> None:
            ends.append((await _publish(bench, plan))[0])

        async with anyio.create_task_group() as runs:
            runs.start_soon(run, bench.plan("refs/heads/topic", OTHER_SHA))
            runs.start_soon(run, replace(bench.plan(RELEASE, OTHER_SHA), default_branch="trunk"))
        assert len({each.digest for each in ends}) == 1
        names = {name: digest for name, digest in bench.digests().items() if name != "master"}
        assert set(names) == {"sha-0123456", "topic", "v1.2.3", "latest"}
        assert set(names.values()) == {ends[0].digest}


def _labelled(plan: RunPlan, **labels: str) -> RunPlan:
    return replace(plan, recipe=replace(plan.recipe, labels=tuple(labels.items())))


def _with_recipe(plan: RunPlan, recipe: Recipe) -> RunPlan:
    return replace(plan, recipe=recipe, inputs=recipe.inputs(plan.commit.source_tree))


class TestWhatIsBuiltNevertheless:
    @pytest.mark.parametrize(
        "changed",
        [
            lambda plan: replace(plan, inputs=plan.recipe.inputs("d" * 40)),
            lambda plan: replace(plan, inputs=plan.recipe.inputs(None)),
            lambda plan: _with_recipe(plan, replace(plan.recipe, dockerfile="Other")),
            lambda plan: _with_recipe(plan, replace(plan.recipe, target="test")),
            lambda plan: _with_recipe(plan, replace(plan.recipe, build_args=(("A", "1"),))),
            lambda plan: _with_recipe(plan, replace(plan.recipe, platforms=parse_platforms("linux/arm64"))),
            lambda plan: _labelled(plan, team="one"),
            lambda plan: replace(plan, no_reuse=True),
        ],
        ids=["tree", "no tree", "dockerfile", "target", "argument", "platform", "labels", "--no-reuse"],
    )
    async def test_other_build_inputs_and_a_caller_who_wants_it(self, bench: Bench, changed: Any) -> None:
        bench.push(_image(bench.plan()), "master")
        published, built = await _publish(bench, changed(bench.plan(sha=OTHER_SHA)))
        assert published.outcome is BUILT
        assert built[0] == "build"

    async def test_a_label_that_the_caller_no_longer_gives(self, bench: Bench) -> None:
        bench.push(_image(_labelled(bench.plan(), team="one")), "master")
        assert (await _publish(bench, bench.plan(sha=OTHER_SHA)))[0].outcome is BUILT

    async def test_an_index_with_one_image_of_other_inputs(self, bench: Bench) -> None:
        both = parse_platforms("linux/amd64,linux/arm64")
        before = bench.plan(platform=both)
        other = replace(before, inputs=before.recipe.inputs("d" * 40))
        images = {
            "linux/amd64": _image(before),
            "linux/arm64": replace(_image(other), architecture="arm64"),
        }
        index = index_of(images)
        with bench.running.client() as client:
            for image in images.values():
                image.push(client, REPOSITORY)
            put_manifest(client, REPOSITORY, "master", index, json.loads(index)["mediaType"])
        plan = bench.plan(sha=OTHER_SHA, platform=both)
        async with open_registry(plan.image, None) as registry:
            assert await find_candidate(plan, registry, Heard()) is None

    @pytest.mark.parametrize(
        ("created", "expected"),
        [
            ((NOW - timedelta(days=9, hours=1)).isoformat(), "is 9 days old (--max-age is 7d): the image is built"),
            ("1970-01-01T00:00:00Z", "days old (--max-age is 7d): the image is built anew"),  # the commit's time counts
        ],
        ids=["nine days", "reproducible"],
    )
    async def test_an_image_that_is_too_old(self, bench: Bench, created: str, expected: str) -> None:
        bench.push(_image(bench.plan(), created), "master")
        plan, heard = bench.plan(sha=OTHER_SHA), Heard()
        async with open_registry(plan.image, None) as registry:
            assert await find_candidate(plan, registry, heard) is None
        assert [line for line in heard.lines if expected in line]
        older = replace(plan, max_age=parse_age("9999d"))
        published, _ = await _publish(bench, older)
        assert published.outcome is RELABELLED
        kept = "2025-11-03T14:30:05Z" if created.startswith("1970") else created
        assert _config(bench, published.digest)["created"] == kept

    async def test_an_image_is_too_old_only_beyond_its_limit(self, bench: Bench) -> None:
        bench.push(_image(bench.plan()), "master")
        plan, then = bench.plan(sha=OTHER_SHA), datetime.fromisoformat(YESTERDAY)
        async with open_registry(plan.image, None) as registry:
            assert await find_candidate(plan, registry, Heard(), then + timedelta(days=7)) is not None
            assert await find_candidate(plan, registry, Heard(), then + timedelta(days=7, seconds=1)) is None

    async def test_an_image_for_fewer_platforms_than_its_labels_say(self, bench: Bench) -> None:
        both = parse_platforms("linux/amd64,linux/arm64")
        bench.push(_image(bench.plan(platform=both)), "master")
        plan = bench.plan(sha=OTHER_SHA, platform=both)
        async with open_registry(plan.image, None) as registry:
            assert await find_candidate(plan, registry, Heard()) is None

    async def test_an_image_of_unknown_age(self, bench: Bench) -> None:
        labels = {name: value for name, value in bench.plan().labels({}).items() if name != CREATED}
        bench.push(Image(labels), "master")
        plan, heard = bench.plan(sha=OTHER_SHA), Heard()
        async with open_registry(plan.image, None) as registry:
            assert await find_candidate(replace(plan, max_age=parse_age("9999d")), registry, heard) is None
        assert "is of unknown age" in heard.lines[0]

    async def test_an_image_whose_label_cannot_be_read(self, bench: Bench) -> None:
        bench.push(_image(bench.plan(), **{INPUTS: "{"}), "master")
        assert (await _publish(bench, bench.plan(sha=OTHER_SHA)))[0].outcome is BUILT

    async def test_a_dirty_tree(self) -> None:
        plan = replace(run_plan(allow_dirty=True, dirty=("x",)), dirty=("x",))
        assert plan.likely_tags == ()
        assert plan.for_dirty_tree("content").likely_tags == ()


class TestARegistryThatFails:
    @pytest.mark.parametrize("status", [404, 500])
    @pytest.mark.parametrize("part", ["manifest", "configuration"])
    async def test_another_image_that_cannot_be_read_is_passed_over(
        self, registry: RunningRegistry, part: str, status: int
    ) -> None:
        image = _image(run_plan())
        path = f"{MANIFESTS}latest" if part == "manifest" else BLOBS + digest_of(image.config)
        with proxy(registry.url, Fault("GET", path, Answer(status), times=99)) as front:
            bench = Bench(registry, front.host)
            bench.push(image, "latest")
            plan, heard = bench.plan(sha=OTHER_SHA), Heard()
            published = await bench.publish(plan, heard=heard)
        assert published.outcome is BUILT
        said = [line for line in heard.lines if "latest cannot be read, so it is not relabelled:" in line]
        assert len(said) == (0 if (part, status) == ("manifest", 404) else 1)

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("POST", f"{BLOBS}uploads/", Answer(405)),
            Fault("POST", f"{BLOBS}uploads/", Answer(404)),
            Fault("POST", f"{BLOBS}uploads/", Answer(202)),
            Fault("PUT", f"{BLOBS}uploads/.*", Answer(400)),
            Fault("PUT", f"{BLOBS}uploads/.*", Answer(404)),
            Fault("PUT", f"{MANIFESTS}sha256:.*", Answer(400, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')),
        ],
        ids=str,
    )
    async def test_where_it_does_not_accept_the_image_that_is_built(
        self, registry: RunningRegistry, fault: Fault
    ) -> None:
        with proxy(registry.url, fault) as front:
            bench = Bench(registry, front.host)
            bench.push(_image(bench.plan()), "master")
            plan, heard = bench.plan(sha=OTHER_SHA), Heard()
            fault.times = 99
            builder = bench.builder(plan)
            published = await bench.publish(plan, builder, Order((SHA, OTHER_SHA)), heard)
        assert published.outcome is BUILT
        assert [line for line in heard.lines if "master cannot be relabelled, so the image is built" in line]

    @pytest.mark.parametrize("status", [429, 503])
    async def test_what_passes_is_tried_again(self, registry: RunningRegistry, status: int) -> None:
        faults = [
            Fault("POST", f"{BLOBS}uploads/", Answer(status)),
            Fault("PUT", f"{BLOBS}uploads/.*", Answer(status)),
            Fault("PUT", f"{MANIFESTS}sha256:.*", Answer(status)),
        ]
        with proxy(registry.url, *faults) as front:
            bench = Bench(registry, front.host)
            bench.push(_image(bench.plan()), "master")
            published, built = await _publish(bench, bench.plan(sha=OTHER_SHA))
        assert (built, published.outcome) == ([], RELABELLED)

    @pytest.mark.parametrize(("status", "error"), [(403, AuthError), (503, RegistryError)])
    async def test_what_no_build_would_mend_is_an_error(
        self, registry: RunningRegistry, status: int, error: type[Exception]
    ) -> None:
        fault = Fault("POST", f"{BLOBS}uploads/", Answer(status), times=99)
        with proxy(registry.url, fault) as front:
            bench = Bench(registry, front.host)
            bench.push(_image(bench.plan()), "master")
            plan = bench.plan(sha=OTHER_SHA)
            builder = bench.builder(plan)
            with pytest.raises(error, match=f"HTTP {status}"):
                await bench.publish(plan, builder)
        assert builder.calls == []
        assert [r.path for r in registry.requests() if r.method == "PUT" and r.agent == "backend-pipeline"] == []


def test_an_index_is_as_old_as_its_oldest_image_and_of_unknown_age_if_one_is() -> None:
    times = [NOW, NOW - timedelta(days=2)]
    manifest = Manifest(b"{}", MANIFEST, DIGEST)
    images = [StoredImage(manifest, b"", ImageProperties(created=time)) for time in times]
    assert Candidate("x", manifest, tuple(images)).built == times[1]
    unknown = StoredImage(manifest, b"", ImageProperties())
    assert Candidate("x", manifest, (*images, unknown)).built is None


def test_all_but_the_labels_of_an_image_stays() -> None:
    config = {
        "created": YESTERDAY,
        "os": "linux",
        "architecture": "amd64",
        "variant": "v3",
        "config": {
            "Cmd": ["serve"],
            "Env": ["A=\U0001f600"],
            "Labels": {REVISION: SHA},
            "ExposedPorts": {"80/tcp": {}},
        },
        "history": [{"created_by": "RUN x"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
        "x-unknown": [1],
    }
    content = json.dumps(config).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": digest_of(content),
            "size": 1,
        },
        "layers": [{"digest": "sha256:2", "size": 3}],
        "annotations": {"a": "b"},
    }
    manifest = Manifest(json.dumps(document).encode(), str(document["mediaType"]), "sha256:" + "0" * 64)
    candidate = Candidate("master", manifest, (StoredImage(manifest, content, image_properties(content)),))
    made = relabelling(candidate, lambda _: {REVISION: OTHER_SHA})
    (written,) = made.configurations
    expected = config | {"config": config["config"] | {"Labels": {REVISION: OTHER_SHA}}}  # type: ignore[operator]
    assert json.loads(written) == expected
    descriptor = {"digest": digest_of(written), "size": len(written)}
    assert made.manifest.parsed() == document | {"config": document["config"] | descriptor}  # type: ignore[operator]
    assert (made.manifest.media_type, made.manifest.digest) == (document["mediaType"], digest_of(made.manifest.content))
    assert made.inner == ()
