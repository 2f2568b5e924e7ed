from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.dockerfile.variables import read_scopes
from ci.engine.errors import NotServedError, QueryFailedError
from ci.engine.store.dockerfile_rewriting import Rewritten, needs_environment, readable, rewritten
from pipeline.rules.dockerfile import read_instructions


def rewrite(text: str, **arguments: str) -> Rewritten:
    return rewritten(text, read_scopes(read_instructions(text), arguments, {}, {}), "Dockerfile")


_PLAIN = st.sampled_from(
    [
        "FROM a", "FROM scratch AS b", "RUN x \\\n  && y", "RUN --mount=type=cache,target=/x y", "COPY --from=a b c",
        "COPY a --link b", "RUN ls --network=default", "ADD --chown=1 a b", "ENV A=$B", "# COPY --link", "", "ARG X",
        "COPY \\\n  --chmod=755 \\\n# --link\n a b", 'CMD ["a"]', "RUN cat <<< x", 'SHELL ["a"]', "ONBUILD RUN x",
    ]
)  # fmt: skip


@given(st.lists(_PLAIN).map("\n".join))
def test_a_dockerfile_without_these_features_is_unchanged(text: str) -> None:
    assert rewrite(text) == Rewritten(text)


@given(st.text(alphabet=st.characters(exclude_characters="<-")))
def test_any_other_text_is_unchanged(text: str) -> None:
    assert rewrite(text) == Rewritten(text)


@pytest.mark.parametrize(
    ("line", "without"),
    [
        ("COPY --link a b", "COPY a b"),
        ("  copy   --link=true --chown=1 a b", "  copy   --chown=1 a b"),
        ("ADD --chmod=755 --link a b", "ADD --chmod=755 a b"),
        ("COPY \\\n  --link \\\n  --from=a \\\n  b --link c", "COPY \\\n  \\\n  --from=a \\\n  b --link c"),
        ("COPY --link --from=a --link b c", "COPY --from=a b c"),
        ("ONBUILD COPY --link a b", "ONBUILD COPY a b"),
        ("RUN --network=default --security=sandbox x --network=default", "RUN x --network=default"),
    ],
)
def test_flags_without_effect_are_dropped_and_nothing_else(line: str, without: str) -> None:
    assert rewrite(f"FROM a\n{line}\nUSER b\n").text == f"FROM a\n{without}\nUSER b\n"


SCRIPTS = [
    ("RUN <<EOF\nset -e\nprintf %s 'it''s' \"$((1+1))\" \\\\n\n\nEOF", "its2\\n"),
    ("RUN <<-EOF\n\techo one\n\t\techo two\n\tEOF", "one\ntwo\n"),
    ("RUN cat <<EOF\n$USED `echo x` \\$USED\nEOF", "used x $USED\n"),
    ("RUN cat <<'EOF'\n$USED `echo x`\nEOF", "$USED `echo x`\n"),
    ("RUN cat <<-EOF\n\tone\n\tEOF", "one\n"),
    ("RUN <<ONE cat && \\\n  <<TWO cat\n1\nONE\n2\nTWO", "1\n2\n"),
    ("RUN cat <<EOF | tr a b\naaa\nEOF", "bbb\n"),
    ("RUN cat 3<<EOF <&3\nx\nEOF", "x\n"),
    ("RUN <<EOF\n#!/usr/bin/env python3\nprint('it' + \"s\\t\" '%')\nEOF", "its\t%\n"),
    ("RUN <<EOF\n#!/bin/cat\n%s $USED\nEOF", "#!/bin/cat\n%s $USED\n"),
    ("RUN python3 <<EOF\nprint('ümläut')\nEOF", "ümläut\n"),
    ("RUN <<EOF\ncat <<INNER\nx\nINNER\nEOF", "x\n"),
    ("RUN ec\\\nho a <<EOF\nEOF", "a\n"),
]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize(("text", "output"), SCRIPTS)
def test_a_script_does_in_one_line_what_it_did_in_many(shell: str, text: str, output: str) -> None:
    made = rewrite(f"FROM a\n{text}\nUSER b\n").text.split("\n")

    command = made[1].removeprefix("RUN ")
    done = subprocess.run([shell, "-c", command], capture_output=True, text=True, env={"USED": "used"}, check=True)
    assert done.stdout == output
    assert made[2 : text.count("\n") + 2] == [""] * text.count("\n")
    assert made[text.count("\n") + 2] == "USER b"


def test_the_exit_code_of_a_script_is_kept() -> None:
    for body in ("exit 7", "#!/bin/sh\nexit 7"):
        line = rewrite(f"FROM a\nRUN <<EOF\n{body}\nEOF\n").text.split("\n")[1]
        assert subprocess.run(["/bin/sh", "-c", line.removeprefix("RUN ")], check=False).returncode == 7


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_the_text_of_a_script_can_be_read_from_its_line(body: str) -> None:
    text = f"FROM a\nRUN <<A-NAME-THAT-IS-NOT-IN-IT\n{body}\nA-NAME-THAT-IS-NOT-IN-IT\n"

    line = rewrite(text).text.split("\n")[1]

    assert "\r" not in line
    assert readable(f"/bin/sh -c {line.removeprefix('RUN ')}") == f"/bin/sh -c {body}\n"


def test_flags_stay_before_the_script() -> None:
    line = rewrite("FROM a\nRUN --mount=type=cache,target=/x \\\n --network=default <<EOF\necho\nEOF\n").text

    assert line.split("\n")[1].startswith("RUN --mount=type=cache,target=/x eval ")


def test_another_text_makes_another_line() -> None:
    for before in ("RUN <<EOF", "RUN cat <<EOF", "COPY <<EOF /x"):
        assert rewrite(f"{before}\none\nEOF\n").text != rewrite(f"{before}\ntwo\nEOF\n").text


def test_heredocs_of_copy_become_files_in_their_order() -> None:
    found = rewrite("FROM a\nCOPY --link --chmod=755 --chown=1:2 <<ONE <<-'TWO' /d/\n$A\nONE\n\t$A\n\tTWO\n", A="x")

    one, two = found.files
    line = f"COPY --from=embedded-engine-heredocs --chmod=755 --chown=1:2 {one} {two} /d/"
    assert found.text.split("\n") == ["FROM a", line, "", "", "", "", ""]
    assert [path.partition("/")[2] for path in found.files] == ["ONE", "TWO"]
    assert list(found.files.values()) == ["\n", "$A\n"]
    assert found.original(f"building at STEP {line}") == (
        "building at STEP COPY --link --chmod=755 --chown=1:2 <<ONE <<-'TWO' /d/"
    )


def test_heredocs_of_copy_are_expanded_with_the_variables_of_the_stage() -> None:
    text = "FROM scratch\nARG A\nENV B=\"b $A\"\nCOPY <<EOF /x\n$A ${B} ${C:-c} \\$A 'q'\nEOF\n"

    assert list(rewrite(text, A="a").files.values()) == ["a b a c $A 'q'\n"]


def test_files_beside_heredocs_are_copied_as_before() -> None:
    lines = rewrite("FROM a\nADD --chown=1 <<EOF x.tar y /d/\nEOF\n").text.split("\n")

    assert lines[1] == "ADD --chown=1 x.tar y /d/"
    assert re.fullmatch(r"COPY --from=embedded-engine-heredocs --chown=1 \w{16}/EOF /d/", lines[2])


def test_files_are_written_byte_for_byte(tmp_path: Path) -> None:
    found = rewrite("FROM a\nCOPY <<'EOF' /x\na\r\n\udcff\nEOF\n")

    found.write_files(tmp_path)

    (path,) = found.files
    assert (tmp_path / path).read_bytes() == b"a\r\n\xff\n"
    assert (tmp_path / path).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN <<EOF\nx\n", r"unterminated heredoc EOF \(line 3 of Dockerfile\)"),
        ("COPY <<A <<B /x\nA\nB\n", r"COPY \(line 3 of Dockerfile\) has several sources"),
    ],
)
def test_what_docker_refuses_is_an_error_with_its_line(text: str, message: str) -> None:
    with pytest.raises(QueryFailedError, match=message):
        rewrite(f"FROM a\n\n{text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ONBUILD RUN <<EOF\nx\nEOF\n", r"ONBUILD with a heredoc \(line 3 of Dockerfile\)"),
        ("COPY <<EOF /x\n${A#x}\nEOF\n", r"\$\{A#x…\} in a heredoc of COPY \(line 3 of Dockerfile\)"),
        ("SHELL ['x']\nSHELL [\"/bin/awk\"]\nRUN <<EOF\nEOF\n", r"RUN with a heredoc \(line 5 of Dockerfile\) under"),
        (f"RUN <<EOF\n{'x' * 60000}\nEOF\n", r"more than 60000 bytes \(line 3 of Dockerfile\)"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_with_its_line_and_the_ways_out(text: str, message: str) -> None:
    with pytest.raises(NotServedError, match=message) as refused:
        rewrite(f"FROM a\n\n{text}")

    assert ": use a Dagger engine, or " in refused.value.message


@pytest.mark.parametrize("shell", ['["/bin/bash", "-o", "pipefail", "-c"]', '["/usr/local/bin/_shell.sh", "-c"]'])
def test_a_shell_that_evaluates_scripts_is_kept(shell: str) -> None:
    assert "eval" in rewrite(f"FROM a\nSHELL {shell}\nRUN <<EOF\nx\nEOF\n").text


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("COPY <<EOF /x\n$A\nEOF\n", True),
        ("COPY <<EOF /x\na\nEOF\n", False),
        ("COPY <<'EOF' /x\n$A\nEOF\n", False),
        ("RUN <<EOF\n$A\nEOF\n", False),
    ],
)
def test_only_a_file_with_variables_needs_an_environment(text: str, *, needs: bool) -> None:
    (found,) = read_instructions(text)
    assert needs_environment(found) is needs
