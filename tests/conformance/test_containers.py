from __future__ import annotations

import dagger
import pytest


async def test_the_configuration_is_what_was_set(dag: dagger.Client, base: str) -> None:
    container = dag.container().from_(base).with_label("a", "1").with_label("b", "2").with_label("a", "3")

    assert await container.label("a") == "3"
    assert await container.label("b") == "2"
    assert await container.label("c") is None


async def test_a_container_is_for_the_engines_platform(dag: dagger.Client, base: str) -> None:
    assert await dag.container().from_(base).platform() == await dag.default_platform()


async def test_a_command_writes_to_both_streams(dag: dagger.Client, base: str) -> None:
    after = dag.container().from_(base).with_exec(["sh", "-c", "echo out; echo err >&2"])

    assert await after.stdout() == "out\n"
    assert await after.stderr() == "err\n"


async def test_what_a_command_does_stays(dag: dagger.Client, base: str) -> None:
    after = dag.container().from_(base).with_exec(["sh", "-c", "mkdir /made; echo content > /made/file"])

    assert await after.file("/made/file").contents() == "content\n"
    assert await after.directory("/made").entries() == ["file"]
    assert await after.rootfs().exists("made/file")
    assert await after.with_exec(["cat", "/made/file"]).stdout() == "content\n"


async def test_a_command_sees_its_variables(dag: dagger.Client, base: str) -> None:
    after = dag.container().from_(base).with_env_variable("GREETING", "hello").with_exec(["sh", "-c", "echo $GREETING"])

    assert await after.stdout() == "hello\n"


async def test_a_failing_command_tells_all(dag: dagger.Client, base: str) -> None:
    with pytest.raises(dagger.ExecError) as failure:
        await dag.container().from_(base).with_exec(["sh", "-c", "echo out; echo err >&2; exit 7"]).sync()

    assert failure.value.exit_code == 7
    assert failure.value.command == ["sh", "-c", "echo out; echo err >&2; exit 7"]
    assert failure.value.stdout.strip() == "out"
    assert failure.value.stderr.strip() == "err"
    assert "exit code: 7" in str(failure.value)


async def test_a_container_without_a_command_has_no_output(dag: dagger.Client, base: str) -> None:
    with pytest.raises(dagger.QueryError):
        await dag.container().from_(base).stdout()


@pytest.mark.parametrize("path", ["/etc/nothing", "/etc/passwd/x"])
async def test_a_path_that_is_not_there_is_named(dag: dagger.Client, base: str, path: str) -> None:
    with pytest.raises(dagger.QueryError, match=r"no such file or directory|not a directory"):
        await dag.container().from_(base).file(path).contents()


async def test_an_image_that_is_not_there_is_named(dag: dagger.Client, base: str) -> None:
    del base
    with pytest.raises(dagger.QueryError, match="no-such-image"):
        await dag.container().from_("localhost:1/no-such-image:none").sync()
