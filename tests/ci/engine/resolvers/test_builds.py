from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import dagger
import pytest
from dagger import BuildArg

from pipeline.rules.platforms import host_platform
from tests.ci.engine.conftest import Opened, OpenEngine, force_chroot
from tests.registry_fixtures import RunningRegistry

pytestmark = [pytest.mark.engine, pytest.mark.registry]


def containers(folder: Path) -> list[str]:
    listed = folder / "store" / "overlay-containers" / "containers.json"
    return [each["id"] for each in json.loads(listed.read_text() or "[]")] if listed.exists() else []


def mounts(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if f" {folder}/" in line]


async def test_two_publishes_build_once(engine: Opened, base: str, shared_registry: RunningRegistry) -> None:
    source = engine.source({"Dockerfile": f"FROM {base}\nRUN sleep 0.2; echo once > /once\n"})
    container = source.docker_build().with_label("a", "b")
    host = shared_registry.host

    first = await asyncio.gather(*(container.publish(f"{host}/once:{tag}") for tag in ("one", "two")))
    again = await container.publish(f"{host}/once:three")

    assert len({address.partition("@")[2] for address in [*first, again]}) == 1
    assert len(engine.finished("build")) == 1
    assert len(engine.finished("publish")) == 3


async def test_equal_inputs_give_equal_digests_in_two_stores(
    open_engine: OpenEngine, base: str, shared_registry: RunningRegistry, tmp_path: Path
) -> None:
    dockerfile = f"FROM {base}\nCOPY a.txt /srv/\nRUN echo built > /srv/built; mkdir /srv/deep; touch /srv/deep/x\n"
    digests = []
    for store in ("one", "two"):
        async with open_engine(tmp_path / store) as opened:
            source = opened.source({"Dockerfile": dockerfile, "a.txt": "a"})
            container = source.docker_build().with_label("x", "y").with_exec(["sh", "-c", "echo more > /srv/more"])
            address = await container.publish(f"{shared_registry.host}/equal:{store}")
            digests.append(address.partition("@")[2])
        await asyncio.sleep(1.1)

    assert digests[0] == digests[1]


async def test_a_second_session_takes_steps_from_the_store_and_runs_commands_again(
    open_engine: OpenEngine, base: str
) -> None:
    cached = []
    for _ in range(2):
        async with open_engine() as opened:
            built = opened.built(f"FROM {base}\nRUN echo cached-build > /x\n")
            await built.with_exec(["sh", "-c", "echo command"]).stdout()
            cached.append([event.cached for event in [*opened.finished("build"), *opened.finished("run")]])

    assert cached[1] == [True, False]


async def test_a_build_argument_that_only_run_uses_keeps_the_cache_before_it(
    open_engine: OpenEngine, base: str
) -> None:
    dockerfile = f"FROM {base}\nRUN echo first\nARG REV\nRUN echo second $REV\n"
    async with open_engine() as opened:
        for revision in ("1", "2"):
            source = opened.source({"Dockerfile": dockerfile})
            await source.docker_build(build_args=[BuildArg("REV", revision)]).sync()

        assert opened.told().count("\nfirst") == 1
        assert "second 1" in opened.told()
        assert "second 2" in opened.told()


async def test_a_failed_build_leaves_nothing(engine: Opened, base: str) -> None:
    source = engine.source({"Dockerfile": f"FROM {base}\nRUN exit 3\n"})

    for _ in range(2):
        with pytest.raises(dagger.ExecError):
            await source.docker_build().sync()
    with pytest.raises(dagger.ExecError):
        await engine.dag.container().from_(base).with_exec(["false"]).sync()

    assert containers(engine.folder) == []
    assert mounts(engine.folder) == []
    assert len(engine.finished("build")) == 2
    assert all(event.error for event in engine.finished("build"))


async def test_a_missing_source_of_copy_is_told_without_the_folders_of_the_engine(engine: Opened, base: str) -> None:
    source = engine.source({"Dockerfile": f"FROM {base}\nCOPY nowhere.txt /\n"})

    with pytest.raises(
        dagger.QueryError, match=r"the build context.*nowhere\.txt.*\(line 2 of Dockerfile\)"
    ) as failure:
        await source.docker_build().sync()

    assert str(engine.folder) not in str(failure.value)


async def test_an_unknown_instruction_is_told_without_the_builders_own_data(engine: Opened, base: str) -> None:
    source = engine.source({"Dockerfile": f"FROM {base}\nRUNN echo hi\n"})

    with pytest.raises(dagger.QueryError, match="RUNN") as failure:
        await source.docker_build().sync()

    assert "imagebuilder" not in str(failure.value)
    assert "PATH=" not in str(failure.value)


async def test_what_buildah_lacks_is_refused_before_anything_is_built(engine: Opened, base: str) -> None:
    source = engine.source({"Dockerfile": f"FROM {base}\nRUN true\nCOPY --parents a/b /\n"})

    with pytest.raises(
        dagger.QueryError, match=r"COPY --parents \(line 3 of Dockerfile\).*not served.*use a Dagger engine, or "
    ):
        await source.docker_build().sync()

    assert engine.finished("build") == []


async def test_what_follows_the_target_is_not_refused(engine: Opened, base: str) -> None:
    source = engine.source({"Dockerfile": f"FROM {base} AS first\nRUN true\nFROM first\nCOPY --parents a/b /\n"})

    await source.docker_build(target="first").sync()


@pytest.mark.parametrize(
    "lines",
    [
        "FROM {host}/x:1\n",
        "FROM {base}\nCOPY --from={host}/x:1 a /\n",
        "FROM {base}\nRUN --mount=type=bind,from={host}/x:1,target=/x true\n",
        "FROM {host}/x:1\nCOPY <<EOF /x\n$A\nEOF\n",
    ],
)
async def test_a_registry_that_cannot_be_reached_is_named(engine: Opened, base: str, lines: str) -> None:
    source = engine.source({"Dockerfile": lines.format(base=base, host="localhost:1")})

    with pytest.raises(dagger.QueryError, match=r"registry localhost:1 could not be reached: .*connection refused"):
        await source.docker_build().sync()


@pytest.mark.parametrize("lines", ["FROM {host}/absent:1\n", "FROM {base}\nCOPY --from={host}/absent:1 a /\n"])
async def test_an_image_that_the_registry_lacks_is_named(
    engine: Opened, base: str, shared_registry: RunningRegistry, lines: str
) -> None:
    source = engine.source({"Dockerfile": lines.format(base=base, host=shared_registry.host)})

    with pytest.raises(
        dagger.QueryError, match=rf"image {shared_registry.host}/absent:1 was not found in the registry"
    ):
        await source.docker_build().sync()


async def test_the_history_and_the_output_show_a_heredoc_as_it_was_written(
    open_engine: OpenEngine, base: str, shared_registry: RunningRegistry
) -> None:
    name = "heredoc-history"
    dockerfile = f'FROM {base}\nRUN <<EOF\necho "it\'s"\nEOF\nCOPY <<EOF /x\ntext\nEOF\n'
    for _ in range(2):
        async with open_engine() as engine:
            await engine.built(dockerfile).publish(f"{shared_registry.host}/{name}:1")

            (finished,) = engine.finished("build")
            assert "STEP 2/3: RUN <<EOF\n" in engine.told()
            assert "STEP 3/3: COPY <<EOF /x\n" in engine.told()
            assert "printf" not in engine.told()
    assert finished.cached
    with shared_registry.client() as client:
        accept = {"accept": "application/vnd.oci.image.manifest.v1+json"}
        manifest = client.get(f"/v2/{name}/manifests/1", headers=accept).raise_for_status().json()
        config = client.get(f"/v2/{name}/blobs/{manifest['config']['digest']}").raise_for_status().json()
    steps = [entry["created_by"] for entry in config["history"]]
    assert steps[-2] == '/bin/sh -c echo "it\'s"\n'
    assert re.fullmatch(r"/bin/sh -c #\(nop\) COPY (file|multi):\w+ in /x ", steps[-1])


async def test_heredocs_build_in_a_chroot_and_leave_nothing(open_engine: OpenEngine, base: str, tmp_path: Path) -> None:
    force_chroot(tmp_path / "engine")
    async with open_engine(tmp_path / "engine") as opened:
        heredocs = (
            "COPY <<EOF /x\ntext\nEOF\nRUN <<EOF\n#!/bin/cat\nEOF\nUSER nobody\nRUN <<EOF\n#!/bin/sh\nid -un\nEOF\n"
        )
        await opened.built(f"FROM {base}\n{heredocs}").sync()

        assert "nobody" in opened.told()
    assert list(Path("/dev/shm").glob("heredoc-*")) == []  # noqa: S108


async def test_where_runc_does_not_work_a_chroot_does(open_engine: OpenEngine, base: str, tmp_path: Path) -> None:
    force_chroot(tmp_path / "engine")
    async with open_engine(tmp_path / "engine") as opened:
        await opened.dag.set_secret("chroot", "hidden-value").plaintext()
        container = opened.built(f"FROM {base}\nRUN echo built > /built\n").with_env_variable("SHOWN", "hidden-value")
        after = container.with_exec(["sh", "-c", "cat /built; echo $SHOWN; echo err >&2"])
        assert await after.stdout() == "built\n***\n"
        assert await after.stderr() == "err\n"
        with pytest.raises(dagger.ExecError) as failure:
            await container.with_exec(["sh", "-c", "exit 4"]).sync()
        assert failure.value.exit_code == 4
        assert failure.value.stderr == ""
        with pytest.raises(dagger.ExecError) as failure:
            await container.with_exec(["no-such-program"]).sync()
        assert failure.value.exit_code == 127
        failing = opened.source({"Dockerfile": f"FROM {base}\nRUN exit 5\n"})
        with pytest.raises(dagger.ExecError) as failure:
            await failing.docker_build().sync()
        assert failure.value.exit_code == 5
        assert "chroot" not in opened.told()  # the session that found it out said so
        assert containers(opened.folder) == []


async def test_how_commands_are_isolated_is_told_by_the_first_session_of_a_boot(
    open_engine: OpenEngine, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "runc" else found(name))
    told = []
    for number in range(2):
        async with open_engine(tmp_path / "engine") as opened:
            await opened.built(f"FROM {base}\nRUN echo {number}\n").sync()
            told.append(opened.told())

    assert "commands run in a chroot" in told[0]
    assert "(runc is not installed)" in told[0]
    assert "use a Dagger engine" in told[0]
    assert "commands run in" not in told[1]


async def test_two_sessions_share_a_store(open_engine: OpenEngine, base: str) -> None:
    async with open_engine() as one, open_engine() as other:
        outputs = await asyncio.gather(
            *(
                opened.dag.container().from_(base).with_exec(["sh", "-c", f"echo {name}"]).stdout()
                for name, opened in (("one", one), ("other", other))
            )
        )

    assert outputs == ["one\n", "other\n"]


async def test_caches_of_run_outlive_the_session(open_engine: OpenEngine, base: str, tmp_path: Path) -> None:
    run = "RUN --mount=type=cache,target=/outlives"
    commands = (f"{run} echo kept > /outlives/file", f"{run} cp /outlives/file /found")
    for number, command in enumerate(commands):
        async with open_engine(tmp_path) as opened:
            built = opened.built(f"FROM {base}\n{command}\n")
            await built.sync()
            if number:
                assert await built.file("/found").contents() == "kept\n"
            else:
                assert not await built.rootfs().exists("outlives/file")


async def test_arguments_that_nobody_gave_are_not_reported_as_unused(engine: Opened) -> None:
    source = engine.source({"Dockerfile": "FROM scratch\nCOPY file /\n", "file": ""})
    await source.docker_build(platform=dagger.Platform(str(host_platform()))).sync()
    await source.docker_build(build_args=[dagger.BuildArg("GIVEN", "1")]).sync()

    warnings = [line for line in engine.told().splitlines() if "Warning" in line]
    assert len(warnings) == 1
    assert "GIVEN" in warnings[0]
