"""What hypothesis makes refs and versions from."""

from __future__ import annotations

from hypothesis import strategies as st

from pipeline.rules.refs import Version

anything = st.text(st.characters(), max_size=4096)
"""All of Unicode, lone surrogates and control characters with it."""

_awkward = st.text(st.sampled_from("aA0._-/ +@{}\\~^:é𝒳\x00\n\ud800\u2028"), max_size=300)
_words = st.sampled_from(
    [
        "latest",
        "LATEST",
        "sha-9c68c4a",
        "sha-",
        "v1.2.3",
        "V1",
        "v1.2.3-rc.1+a.b",
        "v01.2.3",
        "branch-a-01234567",
        "-latest",
        "..sha-1",
        "a" * 128,
        "a" * 129,
        "vendor.x.y",
    ]
)
names = st.one_of(anything, _awkward, _words, st.builds("{}{}".format, _words, _awkward))
prefixes = st.sampled_from(["", "refs/heads/", "refs/tags/", "refs/tags/v", "refs/pull/", "refs/heads"])
refs = st.builds("{}{}".format, prefixes, names).map(lambda ref: ref[:4096])
branch_names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=300)
commits = st.text(st.sampled_from("0123456789abcdefABCDEF"), min_size=40, max_size=40)

_letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
_identifier = st.text(st.sampled_from(_letters), min_size=1, max_size=12)
_prerelease = _identifier.filter(lambda part: not (part.isdigit() and len(part) > 1 and part[0] == "0"))
_number = st.one_of(st.integers(0, 3), st.integers(0, 10**9))
versions = st.builds(
    Version,
    major=_number,
    minor=_number,
    patch=_number,
    prerelease=st.none() | st.lists(_prerelease, min_size=1, max_size=4).map(".".join),
    build=st.none() | st.lists(_identifier, min_size=1, max_size=3).map(".".join),
)
