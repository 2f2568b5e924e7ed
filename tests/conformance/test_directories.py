from __future__ import annotations

from pathlib import Path

import dagger
import pytest


async def test_a_host_directory_shows_what_passes_its_patterns(dag: dagger.Client, folder: Path) -> None:
    (folder / "kept.rb").write_text("kept")
    (folder / "dropped.log").write_text("dropped")
    (folder / "sub").mkdir()
    (folder / "sub" / "inner.rb").write_text("inner")

    directory = dag.host().directory(str(folder), exclude=["*.log"])

    assert await directory.entries() == ["kept.rb", "sub/"]
    assert await directory.glob("**/*.rb") == ["kept.rb", "sub/inner.rb"]


async def test_git_ignored_files_are_left_out_when_asked(dag: dagger.Client, folder: Path) -> None:
    (folder / ".gitignore").write_text("*.tmp\n")
    (folder / "a.tmp").write_text("")
    (folder / "b.txt").write_text("")

    directory = dag.host().directory(str(folder), gitignore=True)

    assert await directory.entries() == [".gitignore", "b.txt"]


async def test_a_folder_that_is_not_there_is_an_error_that_names_it(dag: dagger.Client, folder: Path) -> None:
    with pytest.raises(dagger.QueryError, match="missing"):
        await dag.host().directory(str(folder / "missing")).entries()


async def test_equal_contents_have_equal_digests(dag: dagger.Client) -> None:
    one = dag.directory().with_new_file("a", "1").with_new_file("b", "2")
    other = dag.directory().with_new_file("b", "2").with_new_file("a", "1")

    assert await one.digest() == await other.digest()
    assert await one.digest() != await one.with_new_file("c", "3").digest()


async def test_a_directory_is_edited_step_by_step(dag: dagger.Client) -> None:
    source = dag.directory().with_new_file("one.txt", "1").with_new_file("deep/two.txt", "2")
    edited = (
        dag.directory()
        .with_directory("copy", source)
        .with_file("renamed.txt", source.file("one.txt"))
        .with_new_directory("empty")
        .without_file("copy/one.txt")
    )

    assert await edited.entries() == ["copy/", "empty/", "renamed.txt"]
    assert await edited.directory("copy/deep").entries() == ["two.txt"]
    assert await edited.file("renamed.txt").contents() == "1"
    assert await edited.without_directory("copy").entries() == ["empty/", "renamed.txt"]


async def test_paths_can_be_asked_after(dag: dagger.Client) -> None:
    directory = dag.directory().with_new_file("file", "x").with_new_directory("folder")

    assert await directory.exists("file")
    assert await directory.exists("folder", expected_type=dagger.ExistsType.DIRECTORY_TYPE)
    assert not await directory.exists("folder", expected_type=dagger.ExistsType.REGULAR_TYPE)
    assert not await directory.exists("nothing")


async def test_a_filter_keeps_what_is_included(dag: dagger.Client) -> None:
    directory = dag.directory().with_new_file("a.rb", "").with_new_file("b.txt", "").with_new_file("lib/c.rb", "")

    assert await directory.filter(include=["**/*.rb"]).glob("**") == ["a.rb", "lib/", "lib/c.rb"]


async def test_a_directory_is_written_to_the_host(dag: dagger.Client, folder: Path) -> None:
    (folder / "other").write_text("stays")

    await dag.directory().with_new_file("new", "content").export(str(folder))

    assert (folder / "new").read_text() == "content"
    assert (folder / "other").read_text() == "stays"


async def test_a_file_tells_its_size_and_contents(dag: dagger.Client, folder: Path) -> None:
    file = dag.directory().with_new_file("greeting", "grüß").file("greeting")

    assert await file.size() == 6
    assert await file.contents() == "grüß"
    assert await file.name() == "greeting"
    await file.export(str(folder / "copy"))
    assert (folder / "copy").read_text() == "grüß"


async def test_an_object_comes_back_by_its_id(dag: dagger.Client) -> None:
    directory = await dag.directory().with_new_file("a", "1").sync()

    assert await directory.entries() == ["a"]
    assert await dag.directory().with_directory("sub", directory).directory("sub").entries() == ["a"]
