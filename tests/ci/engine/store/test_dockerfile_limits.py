from __future__ import annotations

import pytest

from ci.engine.errors import NotServedError, QueryFailedError
from ci.engine.store.dockerfile_limits import check_dockerfile
from pipeline.rules.dockerfile import read_instructions


def check(text: str) -> None:
    check_dockerfile(text, read_instructions(text), "Dockerfile")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("COPY --parents a/b /", "COPY --parents"),
        ("COPY \\\n  --chown=1 --exclude=*.txt . /", "COPY --exclude"),
        ("ADD --checksum=sha256:ab http://a/b /", "ADD --checksum"),
        ("ADD --keep-git-dir=true https://a/b.git /", "ADD --keep-git-dir"),
        ("ADD --unpack a.tar /", "ADD --unpack"),
        ("ADD https://github.com/a/b.git#v1:dir /x", "ADD of the Git repository https://github.com/a/b.git#v1:dir"),
        ("ADD git@github.com:a/b.git /x", "ADD of the Git repository git@github.com:a/b.git"),
        ("RUN --network=none x", "RUN --network"),
        ("RUN --mount=type=cache,target=/x --security=insecure x", "RUN --security"),
        ("RUN --device=x y", "RUN --device"),
        ("RUN --mount=type=ssh x", "RUN --mount=type=ssh"),
        ("RUN --mount=type=tmpfs,target=/x,size=1m x", "RUN --mount=type=tmpfs,size"),
        ("RUN --mount=type=secret,id=a,env=A x", "RUN --mount=type=secret,env"),
        ("RUN --mount=type=secret,id=a,required x", "RUN --mount=type=secret,required"),
        ("RUN --mount=type=secret,target=/a x", "RUN --mount=type=secret without id"),
        ("RUN --mount=type=cache,target=/x,sharing=private x", "RUN --mount=type=cache,sharing=private"),
        ("RUN --mount=type=cache,target=/x,rw x", "RUN --mount=type=cache,rw"),
        ("COPY --chmod=u+x a /", "COPY --chmod=u+x"),
        ("HEALTHCHECK --start-interval=1s CMD x", "HEALTHCHECK --start-interval"),
        ("ENV A=${B#x}", "${B#x} in ENV"),
        ("ENV A=${B-x}", "${B-x} in ENV"),
        ('LABEL a="${B:?x}"', "${B:?x} in LABEL"),
        ("COPY a /${B/x/y}", "${B/x/y} in COPY"),
        ("ONBUILD COPY --parents a/b /", "ONBUILD COPY --parents"),
    ],
)
def test_what_buildah_lacks_is_refused_by_name_with_its_line_and_the_ways_out(line: str, name: str) -> None:
    with pytest.raises(NotServedError) as refused:
        check(f"FROM a\n\n{line}\n")

    assert refused.value.message.startswith(f"{name} (line 3 of Dockerfile) is not served")
    assert "use a Dagger engine, or rewrite the line: " in refused.value.message


@pytest.mark.parametrize("line", ["FROM ONE", "COPY --from=one a b", "RUN --mount=type=bind,from=oNE,target=/x y"])
def test_a_stage_in_other_letters_is_refused(line: str) -> None:
    check(f"FROM a AS One\nFROM b\n{line.replace('ONE', 'One').replace('oNE', 'One').replace('one', 'One')}\n")
    with pytest.raises(NotServedError, match=r"the stage One under the name \w+ \(line 3 .*: write One"):
        check(f"FROM a AS One\nFROM b\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "COPY --link --chmod=0755 --chown=a:b --from=c a --parents b /",
        "COPY --chmod=$MODE a /",
        "COPY --chmod=1777 --chown=1 a /",
        'ADD --chmod="755" a /',
        "ADD --link --chmod=755 --chown=1 https://a/b.tgz /",
        "RUN --network=default --security=sandbox x --network=none",
        "RUN --mount=target=/x --mount=type=bind,from=a,source=b,target=/c,rw x",
        "RUN --mount=type=cache,dst=/x,sharing=locked,id=a,mode=0755,uid=1,gid=1 x",
        "RUN --mount=type=secret,id=a,target=/x,required=true,mode=0400 --mount=type=tmpfs,target=/y x",
        "RUN echo ${A#x}",
        "RUN <<EOF\nCOPY --parents a b\nEOF",
        "CMD echo ${A%%x}",
        "ENV A=${B:-x} C=${D:+x} E='${F#x}' G=\\${H#x} I=${J}",
        "HEALTHCHECK --interval=1s --timeout=1s --start-period=1s --retries=2 CMD curl --fail x",
        "ONBUILD RUN x",
    ],
)
def test_what_buildah_has_passes(line: str) -> None:
    check(f"FROM --platform=linux/amd64 a\n{line}\n")


@pytest.mark.parametrize("name", ["docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs", "docker/dockerfile"])
def test_the_usual_syntax_passes(name: str) -> None:
    check(f"# syntax={name}\nFROM a\n")


def test_another_syntax_is_refused_by_name() -> None:
    with pytest.raises(NotServedError, match=r"syntax example/nix:1 \(line 2 of Dockerfile\)"):
        check("# escape=`\n# syntax = example/nix:1\nFROM a\n")


def test_a_comment_that_is_not_a_directive_passes() -> None:
    check("# Syntax\n# syntax=example/nix:1\nFROM a\n")


@pytest.mark.parametrize("text", ["", "# nothing\n", "RUN x\n"])
def test_a_dockerfile_without_a_base_is_an_error(text: str) -> None:
    with pytest.raises(QueryFailedError, match="Dockerfile"):
        check(text)
