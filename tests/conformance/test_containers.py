from __future__ import annotations

import dagger
import pytest


async def test_the_configuration_is_what_was_set(dag: dagger.Client, base: str) -> None:
    container = (
        dag.container()
        .from_(base)
        .with_label("a", "1")
        .with_label("b", "2")
        .without_label("a")
        .with_env_variable("X", "1")
        .with_env_variable("Y", "$X$X", expand=True)
        .with_user("nobody")
        .with_workdir("/srv")
        .with_workdir("inner")
        .with_entrypoint(["/bin/sh", "-c"])
        .with_default_args(["true"])
        .with_exposed_port(8080)
    )

    assert await container.label("b") == "2"
    assert await container.label("a") is None
    assert "b" in [await label.name() for label in await container.labels()]
    assert await container.env_variable("Y") == "11"
    assert {await variable.name() for variable in await container.env_variables()} >= {"PATH", "X", "Y"}
    assert await container.user() == "nobody"
    assert await container.workdir() == "/srv/inner"
    assert await container.entrypoint() == ["/bin/sh", "-c"]
    assert await container.default_args() == ["true"]
    assert [await port.port() for port in await container.exposed_ports()] == [8080]


async def test_a_new_entrypoint_drops_the_default_arguments(dag: dagger.Client) -> None:
    container = dag.container().with_default_args(["old"]).with_entrypoint(["new"])

    assert await container.default_args() == []
    kept = dag.container().with_default_args(["old"]).with_entrypoint(["new"], keep_default_args=True)
    assert await kept.default_args() == ["old"]


async def test_a_command_writes_to_both_streams(dag: dagger.Client, base: str) -> None:
    after = dag.container().from_(base).with_exec(["sh", "-c", "echo out; echo err >&2"])

    assert await after.stdout() == "out\n"
    assert await after.stderr() == "err\n"
    assert await after.exit_code() == 0


async def test_what_a_command_does_stays(dag: dagger.Client, base: str) -> None:
    after = dag.container().from_(base).with_exec(["sh", "-c", "mkdir /made; echo content > /made/file"])

    assert await after.file("/made/file").contents() == "content\n"
    assert await after.directory("/made").entries() == ["file"]
    assert await after.exists("/made/file")
    assert await after.with_exec(["cat", "/made/file"]).stdout() == "content\n"


async def test_a_command_sees_its_variables_user_folder_and_input(dag: dagger.Client, base: str) -> None:
    after = (
        dag.container()
        .from_(base)
        .with_env_variable("GREETING", "hello")
        .with_workdir("/srv")
        .with_user("nobody")
        .with_exec(["sh", "-c", "echo $GREETING; id -u; pwd; cat"], stdin="from outside")
    )

    assert await after.stdout() == "hello\n65534\n/srv\nfrom outside"


async def test_a_removed_variable_is_gone_for_commands(dag: dagger.Client, base: str) -> None:
    container = dag.container().from_(base).with_env_variable("GONE", "x").with_exec(["true"])

    assert await container.without_env_variable("GONE").with_exec(["sh", "-c", "echo [$GONE]"]).stdout() == "[]\n"


async def test_a_failing_command_tells_all(dag: dagger.Client, base: str) -> None:
    with pytest.raises(dagger.ExecError) as failure:
        await dag.container().from_(base).with_exec(["sh", "-c", "echo out; echo err >&2; exit 7"]).sync()

    assert failure.value.exit_code == 7
    assert failure.value.command == ["sh", "-c", "echo out; echo err >&2; exit 7"]
    assert failure.value.stdout.strip() == "out"
    assert failure.value.stderr.strip() == "err"
    assert "exit code: 7" in str(failure.value)


async def test_a_failure_that_is_expected_is_none(dag: dagger.Client, base: str) -> None:
    container = dag.container().from_(base)

    assert await container.with_exec(["false"], expect=dagger.ReturnType.ANY).exit_code() == 1
    assert await container.with_exec(["false"], expect=dagger.ReturnType.FAILURE).exit_code() == 1


async def test_the_entrypoint_is_used_when_asked(dag: dagger.Client, base: str) -> None:
    container = dag.container().from_(base).with_entrypoint(["sh", "-c"])

    assert await container.with_exec(["echo used"], use_entrypoint=True).stdout() == "used\n"


async def test_files_and_directories_are_added(dag: dagger.Client, base: str) -> None:
    source = dag.directory().with_new_file("a.txt", "a").with_new_file("sub/b.txt", "b")
    container = (
        dag.container()
        .from_(base)
        .with_directory("/app", source)
        .with_file("/app/copy.txt", source.file("a.txt"))
        .with_new_file("/bin/tool", "#!/bin/sh\necho tool\n", permissions=0o755)
        .with_new_file("/app/owned", "x", owner="nobody")
    )

    assert await container.directory("/app").glob("**") == ["a.txt", "copy.txt", "owned", "sub/", "sub/b.txt"]
    assert await container.with_exec(["tool"]).stdout() == "tool\n"
    assert await container.with_exec(["stat", "-c", "%U", "/app/owned"]).stdout() == "nobody\n"
    assert await container.with_exec(["stat", "-c", "%a", "/app/a.txt"]).stdout() == "644\n"


async def test_a_mounted_directory_keeps_changes_and_stays_out_of_the_image(dag: dagger.Client, base: str) -> None:
    source = dag.directory().with_new_file("a", "1")
    after = (
        dag.container().from_(base).with_mounted_directory("/src", source).with_exec(["sh", "-c", "echo 2 > /src/b"])
    )

    assert await after.directory("/src").entries() == ["a", "b"]
    assert await after.with_exec(["cat", "/src/b"]).stdout() == "2\n"
    assert await after.without_mount("/src").exists("/src/a") is False
    assert await source.entries() == ["a"]


async def test_a_cache_volume_is_kept_between_containers(dag: dagger.Client, base: str) -> None:
    container = dag.container().from_(base).with_mounted_cache("/cache", dag.cache_volume("conformance"))

    await container.with_exec(["sh", "-c", "rm -f /cache/*; echo kept > /cache/file"]).sync()

    assert await container.with_exec(["cat", "/cache/file"]).stdout() == "kept\n"


async def test_a_temporary_folder_is_empty_for_each_command(dag: dagger.Client, base: str) -> None:
    container = dag.container().from_(base).with_mounted_temp("/scratch")

    after = container.with_exec(["touch", "/scratch/file"]).with_exec(["ls", "-A", "/scratch"])

    assert await after.stdout() == ""


async def test_a_container_without_a_command_has_no_output(dag: dagger.Client, base: str) -> None:
    with pytest.raises(dagger.QueryError):
        await dag.container().from_(base).stdout()


async def test_an_image_that_is_not_there_is_named(dag: dagger.Client, base: str) -> None:
    del base
    with pytest.raises(dagger.QueryError, match="no-such-image"):
        await dag.container().from_("localhost:1/no-such-image:none").sync()
