from __future__ import annotations

import json
import tarfile
from pathlib import Path

import dagger
import pytest


async def test_a_tarball_is_an_image_that_comes_back(dag: dagger.Client, base: str) -> None:
    made = dag.container().from_(base).with_new_file("/srv/file", "content").with_label("a", "b")

    back = dag.container().import_(made.as_tarball())

    assert await back.label("a") == "b"
    assert await back.file("/srv/file").contents() == "content"


async def test_a_container_is_written_to_the_host(dag: dagger.Client, base: str, folder: Path) -> None:
    await dag.container().from_(base).with_label("a", "b").export(str(folder / "image.tar"))

    with tarfile.open(folder / "image.tar") as archive:
        found = archive.extractfile("index.json")
        assert found is not None
        assert json.load(found)["schemaVersion"] == 2


async def test_what_is_no_image_cannot_be_imported(dag: dagger.Client) -> None:
    file = dag.directory().with_new_file("image.tar", "not an image").file("image.tar")

    with pytest.raises(dagger.QueryError):
        await dag.container().import_(file).sync()
