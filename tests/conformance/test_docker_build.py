from __future__ import annotations

import dagger
import pytest
from dagger import BuildArg

from tests.conformance.conftest import MakeDirectory


async def variable(container: dagger.Container, name: str) -> str:
    """Return what a variable is for commands."""
    return (await container.with_exec(["sh", "-c", f"echo ${name}"]).stdout()).rstrip("\n")


async def test_a_dockerfile_becomes_a_container(directory: MakeDirectory, base: str) -> None:
    dockerfile = (
        f'FROM {base}\nWORKDIR /app\nCOPY app.txt .\nRUN cp app.txt copy.txt\nENV MODE=on\nLABEL made=here\nCMD ["x"]\n'
    )
    source = directory({"app.txt": "app", "Dockerfile": dockerfile})

    built = source.docker_build()

    assert await built.directory("/app").entries() == ["app.txt", "copy.txt"]
    assert await variable(built, "MODE") == "on"
    assert await built.label("made") == "here"
    assert await built.default_args() == ["x"]


async def test_a_target_stops_at_its_stage(directory: MakeDirectory, base: str) -> None:
    dockerfile = f"FROM {base} AS first\nENV STAGE=first\nFROM first\nENV STAGE=second\n"
    source = directory({"Dockerfile": dockerfile})

    assert await variable(source.docker_build(target="first"), "STAGE") == "first"
    assert await variable(source.docker_build(), "STAGE") == "second"


async def test_another_dockerfile_is_named(directory: MakeDirectory, base: str) -> None:
    source = directory({"docker/Other": f"FROM {base}\nENV NAME=other\n"})

    assert await variable(source.docker_build(dockerfile="docker/Other"), "NAME") == "other"


async def test_a_changed_build_argument_changes_what_uses_it(directory: MakeDirectory, base: str) -> None:
    dockerfile = f"FROM {base}\nARG REVISION=none\nENV REVISION=$REVISION\nLABEL revision=$REVISION\n"
    source = directory({"Dockerfile": dockerfile})

    for revision in ("one", "two", "one"):
        built = source.docker_build(build_args=[BuildArg("REVISION", revision)])
        assert await variable(built, "REVISION") == revision
        assert await built.label("revision") == revision
    assert await variable(source.docker_build(), "REVISION") == "none"


async def test_a_changed_default_of_an_argument_changes_what_uses_it(directory: MakeDirectory, base: str) -> None:
    for revision in ("one", "two", "one"):
        dockerfile = f"FROM {base}\nARG EDITED={revision}\nENV EDITED=$EDITED\nRUN echo $EDITED > /edited\n"
        built = directory({"Dockerfile": dockerfile}).docker_build()
        assert await variable(built, "EDITED") == revision
        assert await built.file("/edited").contents() == f"{revision}\n"


async def test_what_dockerignore_names_does_not_reach_the_build(directory: MakeDirectory, base: str) -> None:
    ignored = {".dockerignore": "*.log\n!keep.log\ntmp\n"}
    files = dict.fromkeys(("a.log", "keep.log", "tmp/x", "b.txt"), "")
    source = directory({"Dockerfile": f"FROM {base}\nCOPY . /app\n"} | ignored | files)

    entries = await source.docker_build().directory("/app").entries()

    assert "keep.log" in entries
    assert "b.txt" in entries
    assert not {"a.log", "tmp/"} & set(entries)


async def test_an_ignore_file_beside_the_dockerfile_comes_first(directory: MakeDirectory, base: str) -> None:
    ignored = {"Dockerfile.dockerignore": "b.txt\n", ".dockerignore": "a.txt\n"}
    source = directory({"Dockerfile": f"FROM {base}\nCOPY . /app\n", "a.txt": "", "b.txt": ""} | ignored)

    entries = await source.docker_build().directory("/app").entries()

    assert "a.txt" in entries
    assert "b.txt" not in entries


async def test_a_failing_step_tells_its_command_and_output(directory: MakeDirectory, base: str) -> None:
    dockerfile = f"FROM {base}\nRUN echo before; echo wrong >&2; exit 9\n"

    with pytest.raises(dagger.ExecError) as failure:
        await directory({"Dockerfile": dockerfile}).docker_build().sync()

    assert failure.value.exit_code == 9
    assert failure.value.command == ["/bin/sh", "-c", "echo before; echo wrong >&2; exit 9"]
    assert "before" in failure.value.stdout
    assert "wrong" in failure.value.stderr


async def test_a_missing_dockerfile_is_an_error_that_names_it(directory: MakeDirectory) -> None:
    with pytest.raises(dagger.QueryError, match="Dockerfile"):
        await directory({"a": ""}).docker_build().sync()


async def test_a_missing_source_of_copy_is_an_error_that_names_it(directory: MakeDirectory, base: str) -> None:
    source = directory({"Dockerfile": f"FROM {base}\nCOPY nowhere.txt /\n"})

    with pytest.raises(dagger.QueryError, match=r"nowhere\.txt"):
        await source.docker_build().sync()


async def test_a_cache_mount_is_kept_between_builds(directory: MakeDirectory, base: str) -> None:
    run = "RUN --mount=type=cache,target=/conformance-cache"
    first = f"FROM {base}\n{run} rm -f /conformance-cache/*; echo kept > /conformance-cache/file\n"
    second = f"FROM {base}\n{run} cp /conformance-cache/file /found\n"

    await directory({"Dockerfile": first}).docker_build().sync()
    built = directory({"Dockerfile": second}).docker_build()

    assert await built.file("/found").contents() == "kept\n"
