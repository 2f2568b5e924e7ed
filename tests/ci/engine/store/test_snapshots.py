from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci.engine.errors import PatternError, SnapshotError
from ci.engine.store.patterns import PatternMatcher
from ci.engine.store.snapshots import Snapshot, SnapshotStore
from ci.system.owned_folders import remove_tree


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a bit of everything."""
    root = tmp_path / "source"
    for path, text in {
        "README.md": "read me",
        "app/models/link.rb": "class Link; end",
        "app/models/link.log": "log",
        "log/today.log": "log",
        "log/.keep": "",
        "bin/run": "#!/bin/sh\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "bin/run").chmod(0o755)
    (root / "empty").mkdir()
    (root / "current").symlink_to("app/models")
    (root / "outside").symlink_to("/etc")
    (root / "dangling").symlink_to("nowhere")
    return root


def mode_of(snapshot: Snapshot, path: str) -> int:
    return (snapshot.path / path).lstat().st_mode & 0o7777


async def everything(snapshot: Snapshot) -> list[str]:
    return await snapshot.glob("**")


async def test_a_capture_holds_what_the_folder_holds(store: SnapshotStore, source: Path) -> None:
    taken = await store.capture(source)
    assert await taken.entries() == [
        "README.md",
        "app/",
        "bin/",
        "current",
        "dangling",
        "empty/",
        "log/",
        "outside",
    ]
    assert await taken.read_file("app/models/link.rb") == b"class Link; end"
    assert (taken.path / "outside").readlink() == Path("/etc")
    assert mode_of(taken, "bin/run") == 0o755
    assert (taken.path / "README.md").stat().st_nlink == 1


async def test_a_capture_never_changes_with_its_source(store: SnapshotStore, source: Path) -> None:
    before = await store.capture(source)
    (source / "README.md").write_text("changed")
    after = await store.capture(source)
    assert await before.read_file("README.md") == b"read me"
    assert before.digest != after.digest
    assert before.path != after.path


async def test_modes_do_not_depend_on_the_umask(store: SnapshotStore, source: Path) -> None:
    (source / "README.md").chmod(0o666)
    (source / "empty").chmod(0o777)
    before = os.umask(0o077)
    try:
        taken = await store.capture(source)
        made = await store.with_new_file("file", "", 0o644)
    finally:
        os.umask(before)
    assert [mode_of(taken, path) for path in ("README.md", "empty")] == [0o666, 0o777]
    assert mode_of(made, "file") == 0o644


async def test_the_digest_does_not_know_times_or_the_order_of_writing(store: SnapshotStore, tmp_path: Path) -> None:
    for name, order in (("one", "abc"), ("two", "cba")):
        (tmp_path / name).mkdir()
        for letter in order:
            (tmp_path / name / letter).write_text(letter)
    os.utime(tmp_path / "two" / "a", (1, 1))
    one = await store.capture(tmp_path / "one")
    two = await store.capture(tmp_path / "two")
    assert one == two
    assert one.path == two.path


@pytest.mark.parametrize("change", ["content", "mode", "name", "type", "target", "extra"])
async def test_the_digest_knows(store: SnapshotStore, source: Path, change: str) -> None:
    before = await store.capture(source)
    match change:
        case "content":
            (source / "README.md").write_text("Read me")
        case "mode":
            (source / "README.md").chmod(0o600)
        case "name":
            (source / "README.md").rename(source / "README")
        case "type":
            (source / "empty").rmdir()
            (source / "empty").write_bytes(b"")
        case "target":
            (source / "current").unlink()
            (source / "current").symlink_to("app")
        case _:
            (source / "empty/more").mkdir()
    assert (await store.capture(source)).digest != before.digest


async def test_one_folder_has_one_digest_however_it_is_reached(store: SnapshotStore, source: Path) -> None:
    whole = await store.capture(source)
    (source / "app").chmod(0o700)
    alone = await store.capture(source / "app")
    assert await whole.subdirectory("app") == alone
    assert await whole.subdirectory("current") == await whole.subdirectory("app/models")


async def test_equal_captures_at_once_are_one_folder(store: SnapshotStore, source: Path) -> None:
    found: list[Snapshot] = []

    async def capture() -> None:
        found.append(await store.capture(source))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(capture)
    assert len({snapshot.path for snapshot in found}) == 1
    assert [path.name for path in found[0].path.parent.parent.iterdir()] == [found[0].path.parent.name]


@pytest.mark.parametrize(
    ("include", "exclude", "kept"),
    [
        (["app"], [], ["app/", "app/models/", "app/models/link.log", "app/models/link.rb"]),
        (["**/*.rb"], [], ["app/", "app/models/", "app/models/link.rb"]),
        (["app", "log"], ["**/*.log"], ["app/", "app/models/", "app/models/link.rb", "log/", "log/.keep"]),
        (["log"], ["log/*"], ["log/"]),
        (["log"], ["log", "!log/.keep"], ["log/", "log/.keep"]),
        (["log"], ["log", "!log/missing"], []),
        (["app/models/*.rb", "!app"], [], []),
        ([".", ""], ["[a-l]*", "outside"], ["README.md"]),
        (["empty"], [], ["empty/"]),
        (["current"], [], ["current"]),
    ],
)
async def test_include_applies_and_then_exclude(
    store: SnapshotStore, source: Path, include: list[str], exclude: list[str], kept: list[str]
) -> None:
    taken = await store.capture(source, include=include, exclude=exclude)
    assert await everything(taken) == kept
    filtered = await (await store.capture(source)).filter(include=include, exclude=exclude)
    assert filtered == taken


async def test_excluded_things_are_never_read(store: SnapshotStore, source: Path) -> None:
    os.mkfifo(source / "log/pipe")
    taken = await store.capture(source, exclude=["log"])
    assert not await taken.exists("log")


async def test_pipes_are_refused_and_sockets_left_out(store: SnapshotStore, source: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, TemporaryDirectory(dir="/tmp") as short:
        listening.bind(f"{short}/socket")
        assert await (await store.capture(Path(short))).entries() == []
    os.mkfifo(source / "log/pipe")
    with pytest.raises(SnapshotError, match="log/pipe"):
        await store.capture(source)


async def test_a_file_that_keeps_changing_is_named(
    store: SnapshotStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = shutil.copyfileobj
    changes = iter(range(10))

    def copy(reading: BinaryIO, writing: BinaryIO, length: int) -> None:
        plain(reading, writing, length)
        (source / "README.md").write_text("x" * next(changes))

    # Nothing else lets a test write between two reads of one file.
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    with pytest.raises(SnapshotError, match=r"README\.md.*changes"):
        await store.capture(source, include=["README.md"])


async def test_a_failed_capture_leaves_nothing(store: SnapshotStore, source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(SnapshotError):
        await store.capture(source)
    assert list((tmp_path / "store").iterdir()) == []


async def test_a_missing_folder_and_a_file_are_named(store: SnapshotStore, source: Path) -> None:
    for path in (source / "missing", source / "README.md"):
        with pytest.raises(SnapshotError, match=str(path)):
            await store.capture(path)


async def test_a_store_inside_its_source_is_left_out(source: Path) -> None:
    store = SnapshotStore(source / "store")
    assert "store/" not in await (await store.capture(source)).entries()


async def test_names_that_are_not_utf8_are_kept(store: SnapshotStore, source: Path) -> None:
    (source / os.fsdecode(b"caf\xe9\n\"'")).write_text("x")
    taken = await store.capture(source, include=["caf*"])
    assert [os.fsencode(name) for name in await taken.entries()] == [b"caf\xe9\n\"'"]


@pytest.mark.parametrize("path", ["..", "../x", "app/../../x", "/../x", "a\0b"])
async def test_paths_that_lead_out_are_refused(store: SnapshotStore, source: Path, path: str) -> None:
    taken = await store.capture(source)
    for call in (taken.read_file, taken.locate_file, taken.exists, taken.is_file, taken.subdirectory):
        with pytest.raises(SnapshotError) as raised:
            await call(path)
        assert repr(path) in str(raised.value)


async def test_links_never_lead_out(store: SnapshotStore, source: Path) -> None:
    # As in a chroot, and as Docker reads links in a build context.
    (source / "up").symlink_to("../../../../../../etc")
    (source / "top").symlink_to("/README.md")
    taken = await store.capture(source)
    for path in ("outside/passwd", "up/passwd"):
        assert not await taken.exists(path)
        with pytest.raises(SnapshotError, match="no such file"):
            await taken.read_file(path)
    assert await taken.read_file("top") == b"read me"


async def test_links_inside_are_followed(store: SnapshotStore, source: Path) -> None:
    (source / "app/back").symlink_to("../log")
    (source / "circle").symlink_to("circle")
    taken = await store.capture(source)
    assert await taken.read_file("current/link.rb") == b"class Link; end"
    assert await (await taken.subdirectory("app/back")).entries() == [".keep", "today.log"]
    with pytest.raises(SnapshotError, match="circle"):
        await taken.read_file("circle")


async def test_reads(store: SnapshotStore, source: Path) -> None:
    taken = await store.capture(source)
    assert await (await taken.subdirectory("/app")).entries() == ["models/"]
    assert await taken.subdirectory("app/") == await taken.subdirectory("app")
    assert await taken.glob("**/*.rb") == ["app/models/link.rb"]
    assert await taken.glob("app/*") == ["app/models/"]
    assert await taken.exists("current")
    assert not await taken.is_file("current")
    assert await taken.is_file("README.md")
    assert not await taken.exists("dangling")
    assert not await taken.exists("README.md/x")
    assert (await taken.locate_file("current/link.rb")).read_text() == "class Link; end"


async def test_reads_of_the_wrong_thing_are_refused(store: SnapshotStore, source: Path) -> None:
    taken = await store.capture(source)
    with pytest.raises(SnapshotError, match="'missing': no such file"):
        await taken.read_file("missing")
    with pytest.raises(SnapshotError, match="'app': is a directory"):
        await taken.read_file("app")
    with pytest.raises(SnapshotError, match=r"'README\.md': is a file"):
        await taken.subdirectory("README.md")
    with pytest.raises(SnapshotError, match="'missing': no such file"):
        await taken.subdirectory("missing")
    for pattern in ("", "["):
        with pytest.raises(PatternError):
            await taken.glob(pattern)


async def test_one_file_makes_a_snapshot(store: SnapshotStore, source: Path) -> None:
    copied = await store.with_file("x", source / "bin/run")
    assert mode_of(copied, "x") == 0o755
    assert await copied.read_file("x") == b"#!/bin/sh\n"
    made = await store.with_new_file("report.json", "grüß", 0o640)
    assert (await made.read_file("report.json"), mode_of(made, "report.json")) == ("grüß".encode(), 0o640)
    with pytest.raises(SnapshotError):
        await store.with_file("x", source / "current")
    for name in ("", ".", "..", "a/b", "/a", "n" * 300):
        with pytest.raises(SnapshotError):
            await store.with_new_file(name, "", 0o644)


async def test_folders_that_may_not_be_written_to_are_copied_and_removed(store: SnapshotStore, source: Path) -> None:
    (source / "log").chmod(0o555)
    taken = await store.capture(source)
    assert mode_of(taken, "log") == 0o555
    remove_tree(taken.path)
    assert not taken.path.exists()


async def test_an_export_merges(store: SnapshotStore, source: Path, tmp_path: Path) -> None:
    taken = await store.capture(source)
    target = tmp_path / "out/deep"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "out").mkdir()
    target.mkdir()
    (target / "own").write_text("own")
    (target / "app").symlink_to(elsewhere)
    await taken.export(target)
    assert (target / "own").exists()
    assert list(elsewhere.iterdir()) == []
    assert (target / "bin/run").stat().st_mode & 0o777 == 0o755
    (target / "own").unlink()
    assert await store.capture(target) == taken
    (target / "README.md").write_text("mine")
    assert await taken.read_file("README.md") == b"read me"


NAMES = st.sampled_from(["a", "b", "c.rb", "d.log"])
TREES = st.recursive(st.text("xy", max_size=2), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
SEGMENTS = st.lists(st.sampled_from(["a", "b", "*", "*.rb", "**"]), min_size=1, max_size=3)
PATTERNS = st.lists(st.builds(lambda no, parts: no + "/".join(parts), st.sampled_from(["", "!"]), SEGMENTS), max_size=3)


def write(tree: object, at: Path) -> None:
    if isinstance(tree, dict):
        at.mkdir()
        for name, inner in tree.items():
            write(inner, at / name)
    else:
        at.write_text(str(tree))


@settings(max_examples=60)
@given(st.dictionaries(NAMES, TREES, max_size=3), PATTERNS, PATTERNS)
def test_a_filtered_capture_takes_every_file_that_passes(
    tree: dict[str, object], include: list[str], exclude: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        source = Path(folder, "source")
        write(tree, source)

        async def capture() -> tuple[Snapshot, Snapshot]:
            store = SnapshotStore(Path(folder, "store"))
            whole = await store.capture(source)
            taken = await store.capture(source, include=include, exclude=exclude)
            assert await whole.filter(include=include, exclude=exclude) == taken
            return whole, taken

        whole, taken = anyio.run(capture)

        def paths(root: Path) -> set[str]:
            return {each.relative_to(root).as_posix() for each in root.rglob("*")}

        included, excluded = PatternMatcher(include), PatternMatcher(exclude)
        passing = {
            path for path in paths(whole.path) if (not include or included.matches(path)) and not excluded.matches(path)
        }
        above = {parent.as_posix() for path in passing for parent in Path(path).parents if parent.name}
        assert paths(taken.path) == passing | above
