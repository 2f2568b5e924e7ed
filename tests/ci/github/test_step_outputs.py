from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ci.github.command_files import append, output_lines
from ci.github.step_outputs import CUT, LARGEST_REPORT, compact_report, step_outputs
from pipeline.rules.errors import UsageError
from pipeline.rules.report import BuildReport
from tests.ci.github.gfm import HOSTILE
from tests.ci.github.samples import branch_report, version_report
from tests.pipeline.samples import DIGEST, IMAGE

no_surrogates = st.text(st.characters(exclude_categories=["Cs"]), max_size=2000)


def _read_as_the_runner(text: str) -> dict[str, str]:
    """Read an output file as actions/runner does: line by line, a value ends at a line that is its delimiter."""
    values: dict[str, str] = {}
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if not line:
            continue
        name, heredoc, delimiter = line.partition("<<")
        assert heredoc, line
        end = lines.index(delimiter, place)
        values[name] = "\n".join(lines[place:end])
        place = end + 1
    return values


def test_the_outputs_of_a_release() -> None:
    outputs = step_outputs(version_report())
    assert outputs["digest"] == DIGEST
    assert outputs["image_url"] == str(IMAGE)
    assert outputs["version"] == "v1.2.3"
    assert BuildReport.model_validate_json(outputs["report"]) == version_report()


def test_a_tag_that_points_to_another_image_is_left_out() -> None:
    assert step_outputs(version_report())["tags"].split("\n") == [IMAGE.tagged("sha-9c68c4a"), IMAGE.tagged("v1.2.3")]


def test_a_branch_has_no_version() -> None:
    assert step_outputs(branch_report())["version"] == ""


@pytest.mark.parametrize("message", HOSTILE, ids=range(len(HOSTILE)))
def test_the_runner_reads_what_was_written_whatever_the_message_says(message: str) -> None:
    outputs = step_outputs(branch_report(message=message))
    assert _read_as_the_runner(output_lines(outputs)) == outputs
    assert "\n" not in outputs["report"]
    assert outputs["report"].isascii()


@given(st.dictionaries(st.sampled_from(["digest", "tags"]), no_surrogates.map(lambda text: text.replace("\r", ""))))
@example({"tags": "a\nghadelimiter\nb=c\ndigest<<x\ny\nx"})
def test_no_value_ends_itself(values: dict[str, str]) -> None:
    assert _read_as_the_runner(output_lines(values)) == values


def test_a_delimiter_that_is_in_the_value_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["guessed", "guessed", "other"])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(drawn))
    assert output_lines({"tags": "a\nguessed\ndigest=b"}) == "tags<<other\na\nguessed\ndigest=b\nother\n"


def test_delimiters_cannot_be_foreseen() -> None:
    drawn = {output_lines({"a": "b"}).partition("\n")[0] for _ in range(50)}
    assert len(drawn) == 50
    assert min(map(len, drawn)) >= len("a<<") + 32


@pytest.mark.parametrize("letter", ["x", "\x00", '"', "é", "👍", "\n"])
def test_a_long_message_is_cut_until_the_report_fits(letter: str) -> None:
    compact = compact_report(branch_report(message=letter * 65_536))
    assert LARGEST_REPORT - 20 <= len(compact) <= LARGEST_REPORT
    message = json.loads(compact)["commit"]["message"]
    assert message.endswith(CUT)
    assert set(message.removesuffix(CUT)) == {letter}


@given(no_surrogates)
def test_a_message_that_fits_is_not_touched(message: str) -> None:
    report = branch_report(message=message)
    assert BuildReport.model_validate_json(compact_report(report)) == report


def test_what_was_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("before=1\n", encoding="utf-8")
    append(path, "a<<b\né\nb\n")
    assert path.read_bytes() == "before=1\na<<b\né\nb\n".encode()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot write .*missing/output"):
        append(tmp_path / "missing" / "output", "")
