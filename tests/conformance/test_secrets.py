from __future__ import annotations

from pathlib import Path

import dagger
import pytest

PLAINTEXT = "plain-text-5f1e0c"


async def test_a_secret_variable_reaches_commands_and_not_their_output(dag: dagger.Client, base: str) -> None:
    secret = dag.set_secret("token", PLAINTEXT)
    after = (
        dag.container()
        .from_(base)
        .with_secret_variable("TOKEN", secret)
        .with_exec(["sh", "-c", "echo ${#TOKEN} $TOKEN"])
    )

    assert await after.stdout() == f"{len(PLAINTEXT)} ***\n"
    assert await after.env_variable("TOKEN") is None


async def test_a_mounted_secret_reaches_commands_and_stays_out_of_the_image(dag: dagger.Client, base: str) -> None:
    secret = dag.set_secret("file-token", PLAINTEXT)
    after = (
        dag.container()
        .from_(base)
        .with_mounted_secret("/run/token", secret)
        .with_exec(["sh", "-c", "stat -c '%a %s' /run/token"])
    )

    assert await after.stdout() == f"400 {len(PLAINTEXT)}\n"
    assert not await after.without_mount("/run/token").exists("/run/token")


async def test_a_failing_command_does_not_tell_a_secret(dag: dagger.Client, base: str) -> None:
    secret = dag.set_secret("failing-token", PLAINTEXT)
    container = dag.container().from_(base).with_secret_variable("TOKEN", secret)

    with pytest.raises(dagger.ExecError) as failure:
        await container.with_exec(["sh", "-c", "echo $TOKEN; echo $TOKEN >&2; exit 1"]).sync()

    assert PLAINTEXT not in f"{failure.value.stdout}{failure.value.stderr}{failure.value}"
    assert "***" in failure.value.stdout


async def test_a_secret_in_a_build_is_there_for_its_step_alone(dag: dagger.Client, base: str) -> None:
    dockerfile = (
        f"FROM {base}\nRUN --mount=type=secret,id=build-token cat /run/secrets/build-token > /seen; stat -c %s /seen\n"
        "RUN rm /seen; ls /run/secrets > /left 2>&1 || true\n"
    )
    source = dag.directory().with_new_file("Dockerfile", dockerfile)

    built = source.docker_build(secrets=[dag.set_secret("build-token", PLAINTEXT)])

    assert "build-token" not in await built.file("/left").contents()


async def test_secrets_come_from_files_and_commands(dag: dagger.Client, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(PLAINTEXT)

    assert await dag.secret(f"file://{tmp_path / 'secret'}").plaintext() == PLAINTEXT
    assert await dag.secret(f"cmd://cat {tmp_path / 'secret'}").plaintext() == PLAINTEXT


async def test_a_secret_that_is_not_there_is_named(dag: dagger.Client) -> None:
    # Dagger shows three letters alone, as somebody may have given the secret where its name belongs.
    with pytest.raises(dagger.QueryError, match="NO_"):
        await dag.secret("env://NO_SUCH_VARIABLE").plaintext()


async def test_the_id_of_a_secret_does_not_tell_it(dag: dagger.Client) -> None:
    secret = dag.set_secret("id-token", PLAINTEXT)

    assert PLAINTEXT not in str(await secret.id())
    assert await secret.name() == "id-token"
    assert await secret.plaintext() == PLAINTEXT
