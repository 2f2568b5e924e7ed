from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.failed_step import Dockerfile, FailedStep
from pipeline.rules.text import has_control_characters

TEXT = """\
FROM ruby AS gems
WORKDIR /app
COPY Gemfile ./
RUN --mount=type=cache,target=/gems \\
\tbundle config set jobs 4 && \\
    # comments may stand between
    bundle install
COPY . .

RUN ["bin/check", "--all"]
RUN <<EOT
set -e
make all
EOT
RUN make twice
RUN make twice
"""


def described(command: list[str], output: str = "", text: str = TEXT) -> list[str]:
    return FailedStep(command, 5, output).described(Dockerfile("docker/Dockerfile", text)).splitlines()


def test_the_lines_of_a_step_are_shown_with_those_around_it() -> None:
    # A Dagger engine keeps the indentation of the lines that continue a command.
    shown = described(
        ["/bin/bash", "-eo", "pipefail", "-c", "bundle config set jobs 4 &&     bundle install"], "no gem\n"
    )
    assert shown == [
        "`bundle config set jobs 4 && bundle install` exited with 5 (line 4 of docker/Dockerfile):",
        "  2 | WORKDIR /app",
        "  3 | COPY Gemfile ./",
        "> 4 | RUN --mount=type=cache,target=/gems \\",
        "> 5 |     bundle config set jobs 4 && \\",
        "> 6 |     # comments may stand between",
        "> 7 |     bundle install",
        "  8 | COPY . .",
        "  9 |",
        "Its output:",
        "  | no gem",
    ]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["bin/check", "--all"], 10),
        (["/bin/sh", "-c", "set -e\nmake all\n"], 11),
        (["/bin/sh", "-c", "<<EOT set -e make all"], 11),
    ],
)
def test_a_step_is_found_by_the_form_of_its_command(command: list[str], line: int) -> None:
    assert f"exited with 5 (line {line} of docker/Dockerfile) without output" in described(command)[0]


@pytest.mark.parametrize("command", [["/bin/sh", "-c", "make twice"], ["/bin/sh", "-c", "cmake"], ["bin/check"]])
def test_no_line_is_shown_where_it_is_not_known(command: list[str]) -> None:
    shown = described(command, "x")
    assert shown == [f"`{command[-1]}` exited with 5:", "Its output:", "  | x"]


def test_the_last_fifty_lines_of_output_are_shown_as_a_terminal_shows_them() -> None:
    output = "".join(f"line {number}\n" for number in range(60)) + "10 %\r90 %\r\n\n  \x1b[31mFAILED\x1b[0m\x07\t1\n\n"
    shown = described(["make"], output)
    assert shown[1] == "The last 50 lines of its output:"
    assert shown[2:4] == ["  | line 13", "  | line 14"]
    assert shown[-3:] == ["  | 90 %", "  |", "  |   FAILED   1"]
    assert len(shown) == 52


def test_a_long_step_is_cut() -> None:
    lines = [f"  command {number} && \\" for number in range(100)]
    text = "FROM a\nRUN true && \\\n" + "\n".join(lines) + "\n  end\nUSER x\n"
    command = " ".join(["true &&", *(f"command {number} &&" for number in range(100)), "end"])
    shown = described(["/bin/sh", "-c", command], text=text)
    assert [line for line in shown if line.startswith(">")][-1].endswith("command 18 && \\")
    assert len(shown) == 1 + 1 + 20 + 2


@given(st.text(), st.lists(st.text(), min_size=1, max_size=4), st.text())
def test_any_command_output_and_dockerfile_make_lines_without_control_characters(
    text: str, command: list[str], output: str
) -> None:
    shown = FailedStep(command, 1, output).described(Dockerfile("Dockerfile", text))
    assert not any(has_control_characters(line) for line in shown.split("\n"))
