from __future__ import annotations

from pathlib import Path

import dagger
import pytest

from tests.conformance.conftest import MakeDirectory

PLAINTEXT = "plain-text-5f1e0c"


async def test_a_failing_command_does_not_tell_a_secret(
    dag: dagger.Client, directory: MakeDirectory, base: str
) -> None:
    run = "RUN --mount=type=secret,id=failing cat /run/secrets/failing; cat /run/secrets/failing >&2; exit 1"
    source = directory({"Dockerfile": f"FROM {base}\n{run}\n"})

    with pytest.raises(dagger.ExecError) as failure:
        await source.docker_build(secrets=[dag.set_secret("failing", PLAINTEXT)]).sync()

    assert PLAINTEXT not in f"{failure.value.stdout}{failure.value.stderr}{failure.value}"
    assert "***" in failure.value.stdout


async def test_a_secret_in_a_build_is_there_for_its_step_alone(
    dag: dagger.Client, directory: MakeDirectory, base: str
) -> None:
    dockerfile = (
        f"FROM {base}\nRUN --mount=type=secret,id=build-token stat -c %s /run/secrets/build-token > /seen\n"
        "RUN cat /run/secrets/* > /left 2>&1 || true\n"
    )
    source = directory({"Dockerfile": dockerfile})

    built = source.docker_build(secrets=[dag.set_secret("build-token", PLAINTEXT)])

    assert await built.file("/seen").contents() == f"{len(PLAINTEXT)}\n"
    # A Dagger engine leaves the mount point as an empty file in the layer; the content must be nowhere.
    assert PLAINTEXT not in await built.file("/left").contents()


async def test_secrets_come_from_files_and_commands_as_they_are(dag: dagger.Client, tmp_path: Path) -> None:
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
    assert await secret.plaintext() == PLAINTEXT
