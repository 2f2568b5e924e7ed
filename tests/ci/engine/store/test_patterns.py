"""The rules are those of moby/patternmatcher; the cases are our own reading of them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ci.engine.errors import PatternError
from ci.engine.store.patterns import PatternMatcher, read_ignore_file

COVERED = [
    ("*", "file"),
    ("*", "dir/file"),  # its parent matches
    ("**", "dir/file"),
    ("**/", "file"),
    ("**/**", "dir/file"),
    ("dir", "dir/file"),
    ("dir/", "dir/file"),
    ("/dir", "dir/file"),
    ("./dir", "dir/file"),
    ("a/../dir", "dir/file"),
    ("  dir\t", "dir/file"),
    ("dir/*", "dir/sub/file"),
    ("dir/**", "dir/sub/file"),
    ("**/log", "log"),
    ("**/log", "a/b/log"),
    ("**/log", "log/today"),
    ("**log", "catalog"),  # a leading `**` before plain text is the end of the path
    ("**log", "a/catalog"),
    ("**/*.rb", "app.rb"),
    ("**/*.rb", "app/models/link.rb"),
    ("a/**/b", "a/b"),
    ("a/**/b", "a/x/y/b"),
    ("a**/*.rb", "a/x/y.rb"),
    ("a**", "abc/d"),
    ("*.rb", "x.rb/inside"),
    ("a?c", "abc"),
    ("a?c", "a☺c"),
    ("[a-c]x", "bx"),
    ("[^a-c]x", "dx"),
    ("[!a]", "!"),  # only `^` turns a class round
    ("[\\]]", "]"),
    ("[\\-x]", "-"),
    ("[*]", "*"),
    ("a\\*", "a*"),
    ("a\\\\", "a\\"),
    ("a.|)$(}+{^b", "a.|)$(}+{^b"),
    ("#a", "#a"),
    ("a\nb*", "a\nbc"),
]

NOT_COVERED = [
    ("*", "."),
    ("**", "."),
    ("dir", "other/dir"),
    ("dir", "directory"),
    ("dir/**", "dir"),
    ("*.rb", "app/link.rb"),
    ("**/log", "catalog"),
    ("**/.env", "x.env"),
    ("**lo?", "catalog"),
    ("a/*/b", "a/b"),
    ("a/*/b", "a/x/y/b"),
    ("a*b", "a/b"),
    ("a?b", "a/b"),
    ("a.b", "axb"),
    ("a\\*", "ab"),
    ("[a-c]x", "dx"),
    ("../a", "a"),
    (".", "a"),
    ("/", "a"),
    ("A", "a"),
]


@pytest.mark.parametrize(("pattern", "path"), COVERED)
def test_a_pattern_covers(pattern: str, path: str) -> None:
    assert PatternMatcher([pattern]).matches(path)


@pytest.mark.parametrize(("pattern", "path"), NOT_COVERED)
def test_a_pattern_leaves(pattern: str, path: str) -> None:
    assert not PatternMatcher([pattern]).matches(path)


@pytest.mark.parametrize(
    ("patterns", "path", "covered"),
    [
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs/", "!docs/README.md"], "docs/other.md", True),
        (["!docs/README.md", "docs"], "docs/README.md", True),
        (["**", "!app"], "app/models/link.rb", False),
        (["**", "!app", "app/tmp"], "app/tmp/cache", True),
        (["**", "!app", "app/tmp", "!app/tmp/.keep"], "app/tmp/.keep", False),
        (["a", " ! a/b "], "a/b", False),
        (["*", "!!x"], "!x", False),
        (["!a"], "a", False),
        (["", "  "], "a", False),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns: list[str], path: str, covered: bool) -> None:  # noqa: FBT001
    assert PatternMatcher(patterns).matches(path) is covered


@pytest.mark.parametrize(
    "pattern",
    ["!", " ! ", "[", "a[", "[]", "[]a]", "[^", "[^bc", "[a", "[-]", "[x-]", "[-x]", "[a-b-c]", "[b-a]", "a\\", "!["],
)
def test_a_pattern_that_cannot_be_read_is_named(pattern: str) -> None:
    with pytest.raises(PatternError) as raised:
        PatternMatcher(["fine", pattern])
    assert repr(pattern) in str(raised.value)


def test_an_exact_match_ignores_parents() -> None:
    matcher = PatternMatcher(["app/*"])
    assert matcher.matches_exactly("app/models")
    assert not matcher.matches_exactly("app/models/link.rb")


@pytest.mark.parametrize(
    ("patterns", "directory", "skipped"),
    [
        (["node_modules"], "node_modules", True),
        (["node_modules"], "app", False),
        (["a", "!a/b"], "a", False),
        (["a", "!a/b"], "a/c", True),
        (["a", "!a/b/c/**"], "a/b", False),
        (["a", "!b/*"], "a", True),
        (["a", "!**/keep"], "a/b", False),
        (["**"], ".", False),
    ],
)
def test_a_covered_folder_is_skipped_unless_an_exception_may_be_below(
    patterns: list[str],
    directory: str,
    skipped: bool,  # noqa: FBT001
) -> None:
    assert PatternMatcher(patterns).may_skip(directory) is skipped


@pytest.mark.parametrize(
    ("patterns", "directory", "entered"),
    [
        (["a/b/**"], "a", True),
        (["a/b/**"], "a/b", True),
        (["a/b/**"], "a/c", False),
        (["a/b"], "a/b/c", True),
        (["a"], "b", False),
        (["**/*.rb"], "anything/at/all", True),
        (["a/*.rb"], "b", False),
        (["a"], ".", True),
        (["!a", "b/c"], "a", False),
    ],
)
def test_a_walk_enters_folders_on_the_way_to_what_is_included(
    patterns: list[str],
    directory: str,
    entered: bool,  # noqa: FBT001
) -> None:
    assert PatternMatcher(patterns).may_contain(directory) is entered


def test_an_ignore_file_is_read_line_by_line() -> None:
    text = "\ufeff# comment\n\nlog/\n/tmp\r\n  ./a//b  \n #no comment\n! /kept\n!\n/\n"
    assert read_ignore_file(text) == ["log", "tmp", "a/b", "#no comment", "!kept", "!", "."]


SEGMENT = st.sampled_from(["a", "b", "ab", "*", "?", "a*", "*b", "**"])
NAME = st.text("ab", min_size=1, max_size=3)
PATTERNS = st.lists(st.lists(SEGMENT, min_size=1, max_size=4), max_size=4)
PATHS = st.lists(NAME, min_size=1, max_size=4)


def glob_matches(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return glob_matches(pattern[1:], name) or (name != "" and glob_matches(pattern, name[1:]))
    return name != "" and pattern[0] in {"?", name[0]} and glob_matches(pattern[1:], name[1:])


def reference(pattern: list[str], path: list[str]) -> bool:
    """Say it again, slowly: `**` is any folders, at the end at least one name."""
    if not pattern:
        return not path
    if pattern == ["**"]:
        return path != []
    if pattern[0] == "**":
        return reference(pattern[1:], path) or (path != [] and reference(pattern, path[1:]))
    return path != [] and glob_matches(pattern[0], path[0]) and reference(pattern[1:], path[1:])


@given(PATTERNS, st.lists(st.booleans(), min_size=4, max_size=4), PATHS)
def test_it_agrees_with_a_naive_reading(patterns: list[list[str]], nots: list[bool], path: list[str]) -> None:
    written = [("!" if no else "") + "/".join(each) for no, each in zip(nots, patterns, strict=False)]
    covered = False
    for no, pattern in zip(nots, patterns, strict=False):
        if any(reference(pattern, path[: end + 1]) for end in range(len(path))):
            covered = not no
    assert PatternMatcher(written).matches("/".join(path)) is covered


@given(PATTERNS, st.lists(st.booleans(), min_size=4, max_size=4), PATHS, PATHS)
def test_what_is_not_walked_holds_nothing(
    patterns: list[list[str]], nots: list[bool], directory: list[str], below: list[str]
) -> None:
    matcher = PatternMatcher([("!" if no else "") + "/".join(each) for no, each in zip(nots, patterns, strict=False)])
    folder, path = "/".join(directory), "/".join([*directory, *below])
    if matcher.may_skip(folder):
        assert matcher.matches(path)
    if not matcher.may_contain(folder):
        assert not matcher.matches(path)


@given(st.lists(st.text(max_size=8), max_size=4), st.text(max_size=12))
def test_it_answers_or_says_what_it_cannot_read(patterns: list[str], path: str) -> None:
    try:
        matcher = PatternMatcher(patterns)
    except PatternError:
        return
    assert matcher.matches(path) in {True, False}
    assert matcher.matches_exactly(path) in {True, False}


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_an_escaped_name_matches_itself_alone(name: str) -> None:
    pattern = "x" + "".join(f"\\{char}" for char in name)
    assert PatternMatcher([f"{pattern}y"]).matches(f"x{name}y")
    assert not PatternMatcher([f"{pattern}y"]).matches(f"x{name}z")


def test_blanks_behind_a_leading_slash_have_no_meaning() -> None:
    # As in moby, which removes blanks, the slash, and once more blanks.
    assert PatternMatcher(read_ignore_file("/ a\n/\rb\n")).matches("a")
    assert PatternMatcher(read_ignore_file("/ a\n/\rb\n")).matches("b")


@given(st.text(max_size=60))
@example("/\r0")
@example("/ /")
def test_any_ignore_file_can_be_read(text: str) -> None:
    for pattern in read_ignore_file(text):
        assert pattern == pattern.strip()
        assert pattern
