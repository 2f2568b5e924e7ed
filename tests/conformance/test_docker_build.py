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


HEREDOCS = {
    "the default shell runs it": ('RUN <<EOF\nset -e\necho one > /out\necho "it\'s" >> /out\nEOF', "one\nit's\n"),
    "a dash removes tabs": ("RUN <<-EOF\n\techo one > /out\n\tEOF", "one\n"),
    "it is the input of a command": ("RUN cat > /out <<EOF\nPATH is $MODE\nEOF", "PATH is on\n"),
    "a quoted one is not expanded": ("RUN cat > /out <<'EOF'\n$MODE\nEOF", "$MODE\n"),
    "there may be several": ("RUN <<A cat > /out && <<B cat >> /out\n1\nA\n2\nB", "1\n2\n"),
    "a script has its interpreter": ("RUN <<EOF\n#!/usr/bin/env sh\necho script > /out\nEOF", "script\n"),
    "another user may run it": ("USER nobody\nRUN <<EOF\n#!/bin/sh\nid -un > /tmp/out\nEOF", "nobody\n"),
    "the chosen shell runs it": ('SHELL ["/bin/sh", "-ec"]\nRUN <<EOF\necho $- > /out\nEOF', "e\n"),
    "an argument is a variable of it": ("ARG NAME=me\nRUN <<EOF\necho $NAME > /out\nEOF", "me\n"),
}


@pytest.mark.parametrize("what", HEREDOCS)
async def test_a_heredoc_of_run(directory: MakeDirectory, base: str, what: str) -> None:
    lines, output = HEREDOCS[what]

    built = directory({"Dockerfile": f"FROM {base}\nENV MODE=on\n{lines}\n"}).docker_build()

    assert await built.file("/tmp/out" if "/tmp/out" in lines else "/out").contents() == output  # noqa: S108


async def test_a_heredoc_of_copy_becomes_a_file(directory: MakeDirectory, base: str) -> None:
    dockerfile = (
        f'FROM {base}\nARG NAME=me\nENV GREETING="hello $NAME"\n'
        "COPY <<EOF /one\n$GREETING, ${NAME}, ${NONE:-none}, \\$NAME, '$PATH'\nEOF\n"
        "COPY <<'EOF' /two\n$GREETING\\n\nEOF\n"
        "COPY <<-A <<B /three/\n\ta\nA\nb\nB\n"
        "COPY --chmod=750 --chown=65534:65534 <<EOF /four\nx\nEOF\n"
        "COPY a.txt <<EOF /five/\nx\nEOF\n"
        "ADD <<EOF /six\nsix\nEOF\n"
        "RUN stat -c %a:%u:%g /one /four > /modes; echo $PATH > /path\n"
    )
    source = directory({"Dockerfile": dockerfile, "a.txt": "a", ".dockerignore": "*\n!a.txt\n"})

    built = source.docker_build(build_args=[BuildArg("NAME", "you")])

    path = (await built.file("/path").contents()).strip()
    assert await built.file("/one").contents() == f"hello you, you, none, $NAME, '{path}'\n"
    assert await built.file("/two").contents() == "$GREETING\\n\n"
    assert await built.file("/three/A").contents() == "a\n"
    assert await built.file("/three/B").contents() == "b\n"
    assert await built.directory("/five").entries() == ["EOF", "a.txt"]
    assert await built.file("/six").contents() == "six\n"
    assert await built.file("/modes").contents() == "644:0:0\n750:65534:65534\n"


async def test_a_heredoc_of_copy_works_without_a_base_image(directory: MakeDirectory) -> None:
    source = directory({"Dockerfile": "FROM scratch\nARG A=x\nCOPY <<EOF /a\n$A$B\nEOF\n"})

    assert await source.docker_build().file("/a").contents() == "x\n"


async def test_a_changed_heredoc_is_built_again(directory: MakeDirectory, base: str) -> None:
    for text in ("one", "two", "one"):
        dockerfile = f"FROM {base}\nRUN <<EOF\necho {text} > /made\nEOF\nCOPY <<EOF /copied\n{text}\nEOF\n"
        built = directory({"Dockerfile": dockerfile}).docker_build()
        assert await built.file("/made").contents() == f"{text}\n"
        assert await built.file("/copied").contents() == f"{text}\n"


async def test_a_failing_heredoc_tells_its_text_and_exit_code(directory: MakeDirectory, base: str) -> None:
    dockerfile = f'FROM {base}\nRUN <<EOF\necho "before"\nexit 9\nEOF\n'

    with pytest.raises(dagger.ExecError) as failure:
        await directory({"Dockerfile": dockerfile}).docker_build().sync()

    assert failure.value.exit_code == 9
    assert failure.value.command == ["/bin/sh", "-c", 'echo "before"\nexit 9\n']
    assert "before" in failure.value.stdout


async def test_copy_and_add_with_link_copy(directory: MakeDirectory, base: str) -> None:
    lines = (
        "COPY --link a.txt /a/\nCOPY --link --chmod=700 \\\n  a.txt /b\n"
        "ADD --link=true a.txt /c\nCOPY --from=one --link /o /d\n"
    )
    dockerfile = f"FROM {base} AS one\nRUN echo o > /o\nFROM {base}\n{lines}RUN stat -c %a /b > /mode\n"

    built = directory({"Dockerfile": dockerfile, "a.txt": "a"}).docker_build()

    for path, content in {"/a/a.txt": "a", "/b": "a", "/c": "a", "/d": "o\n", "/mode": "700\n"}.items():
        assert await built.file(path).contents() == content
