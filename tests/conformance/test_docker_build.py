from __future__ import annotations

import dagger
import pytest
from dagger import BuildArg


async def test_a_dockerfile_becomes_a_container(dag: dagger.Client, base: str) -> None:
    dockerfile = (
        f'FROM {base}\nWORKDIR /app\nCOPY app.txt .\nRUN cp app.txt copy.txt\nENV MODE=on\nLABEL made=here\nCMD ["x"]\n'
    )
    source = dag.directory().with_new_file("app.txt", "app").with_new_file("Dockerfile", dockerfile)

    built = source.docker_build()

    assert await built.directory("/app").entries() == ["app.txt", "copy.txt"]
    assert await built.env_variable("MODE") == "on"
    assert await built.label("made") == "here"
    assert await built.default_args() == ["x"]
    assert await built.workdir() == "/app"


async def test_a_target_stops_at_its_stage(dag: dagger.Client, base: str) -> None:
    dockerfile = f"FROM {base} AS first\nENV STAGE=first\nFROM first\nENV STAGE=second\n"
    source = dag.directory().with_new_file("Dockerfile", dockerfile)

    assert await source.docker_build(target="first").env_variable("STAGE") == "first"
    assert await source.docker_build().env_variable("STAGE") == "second"


async def test_another_dockerfile_is_named(dag: dagger.Client, base: str) -> None:
    source = dag.directory().with_new_file("docker/Other", f"FROM {base}\nENV NAME=other\n")

    assert await source.docker_build(dockerfile="docker/Other").env_variable("NAME") == "other"


async def test_a_changed_build_argument_changes_what_uses_it(dag: dagger.Client, base: str) -> None:
    dockerfile = f"FROM {base}\nARG REVISION=none\nENV REVISION=$REVISION\nLABEL revision=$REVISION\n"
    source = dag.directory().with_new_file("Dockerfile", dockerfile)

    for revision in ("one", "two", "one"):
        built = source.docker_build(build_args=[BuildArg("REVISION", revision)])
        assert await built.env_variable("REVISION") == revision
        assert await built.label("revision") == revision
    assert await source.docker_build().env_variable("REVISION") == "none"


async def test_a_changed_default_of_an_argument_changes_what_uses_it(dag: dagger.Client, base: str) -> None:
    for revision in ("one", "two", "one"):
        dockerfile = f"FROM {base}\nARG EDITED={revision}\nENV EDITED=$EDITED\nRUN echo $EDITED > /edited\n"
        built = dag.directory().with_new_file("Dockerfile", dockerfile).docker_build()
        assert await built.env_variable("EDITED") == revision
        assert await built.file("/edited").contents() == f"{revision}\n"


async def test_what_dockerignore_names_does_not_reach_the_build(dag: dagger.Client, base: str) -> None:
    source = (
        dag.directory()
        .with_new_file("Dockerfile", f"FROM {base}\nCOPY . /app\n")
        .with_new_file(".dockerignore", "*.log\n!keep.log\ntmp\n")
        .with_new_file("a.log", "")
        .with_new_file("keep.log", "")
        .with_new_file("tmp/x", "")
        .with_new_file("b.txt", "")
    )

    entries = await source.docker_build().directory("/app").entries()

    assert "keep.log" in entries
    assert "b.txt" in entries
    assert not {"a.log", "tmp/"} & set(entries)


async def test_an_ignore_file_beside_the_dockerfile_comes_first(dag: dagger.Client, base: str) -> None:
    source = (
        dag.directory()
        .with_new_file("Dockerfile", f"FROM {base}\nCOPY . /app\n")
        .with_new_file("Dockerfile.dockerignore", "b.txt\n")
        .with_new_file(".dockerignore", "a.txt\n")
        .with_new_file("a.txt", "")
        .with_new_file("b.txt", "")
    )

    entries = await source.docker_build().directory("/app").entries()

    assert "a.txt" in entries
    assert "b.txt" not in entries


async def test_a_failing_step_tells_its_command_and_output(dag: dagger.Client, base: str) -> None:
    dockerfile = f"FROM {base}\nRUN echo before; echo wrong >&2; exit 9\n"

    with pytest.raises(dagger.ExecError) as failure:
        await dag.directory().with_new_file("Dockerfile", dockerfile).docker_build().sync()

    assert failure.value.exit_code == 9
    assert failure.value.command == ["/bin/sh", "-c", "echo before; echo wrong >&2; exit 9"]
    assert "before" in failure.value.stdout
    assert "wrong" in failure.value.stderr


async def test_a_missing_dockerfile_is_an_error_that_names_it(dag: dagger.Client) -> None:
    with pytest.raises(dagger.QueryError, match="Dockerfile"):
        await dag.directory().with_new_file("a", "").docker_build().sync()


async def test_a_missing_source_of_copy_is_an_error_that_names_it(dag: dagger.Client, base: str) -> None:
    source = dag.directory().with_new_file("Dockerfile", f"FROM {base}\nCOPY nowhere.txt /\n")

    with pytest.raises(dagger.QueryError, match=r"nowhere\.txt"):
        await source.docker_build().sync()


async def test_a_cache_mount_is_kept_between_builds(dag: dagger.Client, base: str) -> None:
    run = "RUN --mount=type=cache,target=/conformance-cache"
    first = f"FROM {base}\n{run} rm -f /conformance-cache/*; echo kept > /conformance-cache/file\n"
    second = f"FROM {base}\n{run} cp /conformance-cache/file /found\n"

    await dag.directory().with_new_file("Dockerfile", first).docker_build().sync()
    built = dag.directory().with_new_file("Dockerfile", second).docker_build()

    assert await built.file("/found").contents() == "kept\n"
