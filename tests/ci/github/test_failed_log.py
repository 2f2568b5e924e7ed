from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given

from ci.github.failed_log import FailedLog, failure_summary, parse_failed_log, read_failed_log
from pipeline.rules.errors import UsageError
from tests.ci.github.gfm import HOSTILE, any_text, page, seen

OURS = """check the registry …
check the registry: 0.1 s
\x1b[31merror: The working tree is not what commit 9c68c4a says: backend/app.rb.\x1b[0m
\x1b[31mCommit or stash it, or give --allow-dirty.\x1b[0m
"""
DAGGERS = """15  : ┆ [2.1s] | bundler: failed to load command
! exit code: 7
Error: FunctionError: The image could not be built: bundle install exited with 7.
See the lines above.
"""


def test_a_failed_step_is_told_in_one_line() -> None:
    step = "`make test` exited with 2 (line 4 of Dockerfile):"
    log = parse_failed_log(f"error: api from Dockerfile could not be built:\n{step}\n> 4 | RUN make test\n")
    assert log.message == f"api from Dockerfile could not be built: {step.removesuffix(':')}"


def test_our_own_error_and_its_hint_are_found() -> None:
    log = parse_failed_log(OURS)
    assert log.message == (
        "The working tree is not what commit 9c68c4a says: backend/app.rb. Commit or stash it, or give --allow-dirty."
    )
    assert log.tail == OURS.replace("\x1b[31m", "").replace("\x1b[0m", "").strip()
    assert not log.cut


def test_an_error_of_dagger_is_found() -> None:
    message = "The image could not be built: bundle install exited with 7. See the lines above."
    assert parse_failed_log(DAGGERS).message == message


def test_the_last_error_is_the_one() -> None:
    assert parse_failed_log("error: first\n\nerror: second\n").message == "second"
    assert parse_failed_log("no Error: here\nmyerror: x\n").message == ""


def test_the_last_lines_are_kept_and_long_ones_cut() -> None:
    log = parse_failed_log("\n".join(f"line {number}" for number in range(1000)))
    assert log.tail.split("\n")[0] == "line 920"
    assert log.tail.endswith("line 999")
    assert log.cut
    long = parse_failed_log(("é" * 100_000 + "\n") * 100)
    assert len(long.tail.encode()) <= 48 * 1024
    assert all(len(line) <= 1001 for line in long.tail.split("\n"))


def test_only_the_end_of_a_large_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"error: early\n" + b"x" * 3_000_000 + b"\n\xff end\n")
    log = read_failed_log(path)
    assert log.tail.endswith("\ufffd end")
    assert log.cut
    assert log.message == ""


def test_a_log_that_was_never_written_is_an_empty_one(tmp_path: Path) -> None:
    assert read_failed_log(tmp_path / "log") == FailedLog(message="", tail="", cut=False)
    with pytest.raises(UsageError, match="Cannot read the log"):
        read_failed_log(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "token ghs_0123456789abcdefghijklmnopqrstuvwxyz",
        "github_pat_0123456789abcdefghijklmnopqrstuvwxyz_A",
        "GET https://user:hunter2secret@ghcr.io/v2/",
        "Authorization: Basic dXNlcjpodW50ZXIyc2VjcmV0",
        "authorization: Bearer hunter2secret",
        "the job's own: job-token-hunter2secret",
    ],
)
def test_what_looks_like_a_token_is_left_out(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "job-token-hunter2secret")
    summary = failure_summary(parse_failed_log(f"error: {line}\n{line}\n"))
    for secret in ("hunter2secret", "0123456789abcdef", "dXNlcjpodW50ZXIyc2VjcmV0"):
        assert secret not in summary
    assert "***" in summary


def test_the_summary_says_what_failed_with_the_lines_behind_it() -> None:
    shown = page(failure_summary(parse_failed_log(DAGGERS)))
    assert "Image not published: the run failed" in shown.text
    assert "What failed: The image could not be built: bundle install exited with 7." in seen(shown.text)
    assert shown.blocks == [DAGGERS]


def test_the_summary_says_when_no_error_or_no_log_is_there() -> None:
    assert "contains no error message" in failure_summary(parse_failed_log("something"))
    assert "there is no log" in failure_summary(FailedLog(message="", tail="", cut=False))


@given(any_text)
def test_nothing_in_a_log_ends_the_fence_or_adds_to_the_summary(text: str) -> None:
    summary = failure_summary(parse_failed_log(f"first\n{text}\nlast"))
    shown = page(summary)
    assert [tag for tag in shown.tags if tag not in {"p", "strong", "h2"}] == ["pre", "code"]
    assert shown.targets == []
    assert shown.text.rstrip().endswith("only the rest is done.")


def test_a_summary_is_far_below_githubs_limit() -> None:
    for text in HOSTILE:
        log = f"error: {text}\n" * (200_000 // (len(text) + 8))
        assert len(failure_summary(parse_failed_log(log)).encode()) < 128 * 1024


@pytest.mark.parametrize(
    "text", ["eyJaaaaaaaaaaa-", "gha_", "://a:", "authorization: ", "`", "\x1b]", "\x1b[0", "error: "]
)
def test_no_log_takes_long_to_read(text: str) -> None:
    with a_minute_of_work():
        parse_failed_log(text * (1024 * 1024 // len(text)))


@contextmanager
def a_minute_of_work() -> Iterator[None]:
    """Fail once a block took a minute of this process's own time, which that of others is no part of."""
    before = signal.signal(signal.SIGPROF, lambda *_: pytest.fail("it still works after a minute"))
    signal.setitimer(signal.ITIMER_PROF, 60)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
