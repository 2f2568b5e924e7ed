"""The workspace is the repository that the tests are started in."""

from __future__ import annotations

from pathlib import Path

import dagger
import pytest

HERE = Path(__file__).parent


@pytest.fixture
def workspace(dag: dagger.Client) -> dagger.Workspace:
    return dag.current_workspace()


async def test_a_path_with_a_slash_starts_at_the_top(workspace: dagger.Workspace) -> None:
    found = workspace.directory("/tests/conformance", include=["conftest.py", "test_w*"], exclude=["test_w*"])

    assert await found.entries() == ["conftest.py"]
    assert await workspace.file("/tests/conformance/conftest.py").contents() == (HERE / "conftest.py").read_text()


async def test_the_address_is_a_place_of_the_host(workspace: dagger.Workspace) -> None:
    assert (await workspace.address()).startswith("file://")


async def test_its_repository_can_be_read(workspace: dagger.Workspace) -> None:
    repository = workspace.directory("/", include=[".git"]).as_git()

    assert len(await repository.head().commit()) == 40


async def test_a_directory_that_is_not_there_is_named(workspace: dagger.Workspace) -> None:
    with pytest.raises(dagger.QueryError, match=r"nowhere.*no such file or directory"):
        await workspace.directory("/nowhere").entries()
