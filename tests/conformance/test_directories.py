from __future__ import annotations

from pathlib import Path

import dagger
import pytest

from tests.conformance.conftest import MakeDirectory


async def test_a_host_directory_shows_what_passes_its_patterns(dag: dagger.Client, folder: Path) -> None:
    (folder / "kept.rb").write_text("kept")
    (folder / "dropped.log").write_text("dropped")
    (folder / "sub").mkdir()
    (folder / "sub" / "inner.rb").write_text("inner")

    directory = dag.host().directory(str(folder), exclude=["*.log"])

    assert await directory.entries() == ["kept.rb", "sub/"]
    assert await directory.glob("**/*.rb") == ["kept.rb", "sub/inner.rb"]
    included = dag.host().directory(str(folder), include=["sub/*.rb"])
    assert await included.glob("**") == ["sub/", "sub/inner.rb"]


async def test_a_folder_that_is_not_there_is_an_error_that_names_it(dag: dagger.Client, folder: Path) -> None:
    with pytest.raises(dagger.QueryError, match="missing"):
        await dag.host().directory(str(folder / "missing")).entries()


async def test_equal_contents_have_equal_digests(directory: MakeDirectory) -> None:
    one = directory({"a": "1", "b": "2"})
    other = directory({"b": "2", "a": "1"})

    assert await one.digest() == await other.digest()
    assert await one.digest() != await directory({"a": "1", "b": "2", "c": "3"}).digest()


async def test_paths_can_be_asked_after(directory: MakeDirectory) -> None:
    made = directory({"file": "x", "folder/inner": ""})

    assert await made.exists("file")
    assert await made.exists("folder/inner")
    assert not await made.exists("nothing")
    assert await made.directory("folder").entries() == ["inner"]


async def test_a_filter_keeps_what_is_included(directory: MakeDirectory) -> None:
    made = directory({"a.rb": "", "b.txt": "", "lib/c.rb": ""})

    assert await made.filter(include=["**/*.rb"]).glob("**") == ["a.rb", "lib/", "lib/c.rb"]


async def test_a_directory_is_written_to_the_host(directory: MakeDirectory, folder: Path) -> None:
    (folder / "other").write_text("stays")

    await directory({"new": "content"}).export(str(folder))

    assert (folder / "new").read_text() == "content"
    assert (folder / "other").read_text() == "stays"


async def test_a_file_is_read_and_written_to_the_host(directory: MakeDirectory, folder: Path) -> None:
    file = directory({"greeting": "grüß"}).file("greeting")

    assert await file.contents() == "grüß"
    await file.export(str(folder / "copy"))
    assert (folder / "copy").read_text() == "grüß"


async def test_a_new_file_has_its_contents(dag: dagger.Client, folder: Path) -> None:
    file = dag.file("report.json", '{"a": 1}')

    assert await file.contents() == '{"a": 1}'
    await file.export(str(folder / "report.json"))
    assert (folder / "report.json").read_text() == '{"a": 1}'


async def test_a_file_that_is_not_there_is_named(directory: MakeDirectory) -> None:
    with pytest.raises(dagger.QueryError, match="missing"):
        await directory({"a": ""}).file("missing").contents()


async def test_an_object_comes_back_by_its_id(directory: MakeDirectory) -> None:
    loaded = await directory({"a": "1"}).sync()

    assert await loaded.entries() == ["a"]
