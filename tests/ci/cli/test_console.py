from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from ci.cli.console import ConsoleProgress, answer_console, error_console, print_verbatim
from ci.engine.events import Notice, OutputLine, StepFinished, StepStarted
from pipeline.rules.text import without_terminal_codes
from tests.ci.cli.command import InProcess
from tests.ci.repositories import Repository

# What Rich would make something else of: emoji codes, markup, links, numbers, tabs, trailing spaces.
TEXTS = [
    "y.js:100:1",
    "taking :smile: for a name :warning:",
    "[red]not red[/red] closes [/] nothing",
    "https://example.org/a_(b)?c=1#d 'quoted' 1.5 None",
    "tab\tand  two spaces, and some behind  ",
    "word " * 50 + "x" * 200,
    "two\n  lines",
]
MARKUP = ["[red]not red[/red]", "closes [/] nothing", "[link=https://example.org]x[/link]", "back\\[slash]", "a\\"]
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def plain() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=60)


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=120)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def threads_of_displays() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if type(thread).__module__.startswith("rich.")}


BEFORE: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others_displays() -> None:
    """Take note of the displays that other tests left; the SDK does not end its own when it cannot connect."""
    BEFORE.clear()
    BEFORE.update(threads_of_displays())


def is_live() -> bool:
    return bool(threads_of_displays() - BEFORE)


def nothing_is_live() -> bool:
    """Tell whether every display has ended; its thread may need a moment to."""
    deadline = time.monotonic() + 60
    while is_live() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_live()


class TestElsewhereThanOnATerminal:
    def test_all_that_happens_is_a_plain_line(self) -> None:
        console = plain()
        with ConsoleProgress(console, show_output=False) as progress:
            progress.started("build and upload")
            progress.engine_event(StepStarted(1, "build Dockerfile"))
            progress.engine_event(OutputLine(1, "STEP 1/3: \x1b[1mFROM\x1b[0m debian"))
            progress.engine_event(StepFinished(1, "build Dockerfile", 1.0))
            progress.engine_event(Notice("Builds run under chroot."))
            progress.finished("build and upload", 61.26)
            progress.notice("Take care.")
        assert shown(console).splitlines() == [
            "build and upload …",
            "  | STEP 1/3: FROM debian",
            "Builds run under chroot.",
            "build and upload: 61.3 s",
            "Take care.",
        ]

    @pytest.mark.parametrize("text", MARKUP)
    def test_markup_is_text(self, text: str) -> None:
        console = plain()
        with ConsoleProgress(console, show_output=True) as progress:
            progress.started(text)
            progress.engine_event(OutputLine(1, text))
            progress.notice(text)
            progress.finished(text, 1)
        assert shown(console) == f"{text} …\n  | {text}\n{text}\n{text}: 1.0 s\n"

    def test_a_long_line_stays_one(self) -> None:
        console = plain()
        ConsoleProgress(console, show_output=True).engine_event(OutputLine(1, "word " * 50))
        assert shown(console).count("\n") == 1

    def test_nothing_runs_beside(self) -> None:
        with ConsoleProgress(plain(), show_output=False) as progress:
            progress.started("build")
            assert nothing_is_live()


class TestOnATerminal:
    def test_a_step_is_live_until_it_ends_and_then_a_line(self) -> None:
        console = terminal()
        with ConsoleProgress(console, show_output=False) as progress:
            progress.started("build")
            assert is_live()
            progress.finished("build", 2.5)
            assert nothing_is_live()
        text = shown(console)
        assert text.count(HIDE) == text.count(SHOW) == 1
        assert text.rindex(SHOW) > text.rindex(HIDE)
        assert "✓ build 2.5 s" in without_terminal_codes(text)

    def test_the_outer_step_is_shown_again_when_the_inner_one_ends(self) -> None:
        console = terminal()
        with ConsoleProgress(console, show_output=False) as progress:
            progress.started("outer")
            progress.started("inner")
            progress.finished("inner", 1)
            assert is_live()
            progress.finished("outer", 1)
            assert nothing_is_live()

    def test_steps_may_end_in_any_order_or_never_have_begun(self) -> None:
        with ConsoleProgress(terminal(), show_output=False) as progress:
            progress.started("one")
            progress.started("two")
            progress.finished("one", 1)
            progress.finished("another", 1)
            progress.finished("two", 1)
            assert nothing_is_live()

    def test_an_error_ends_the_display(self) -> None:
        console = terminal()
        progress = ConsoleProgress(console, show_output=False)
        progress.started("build")
        with pytest.raises(KeyError), progress:
            raise KeyError
        assert nothing_is_live()
        assert shown(console).count(HIDE) == shown(console).count(SHOW) == 1

    def test_closing_gives_the_terminal_away_as_often_as_one_likes(self) -> None:
        with ConsoleProgress(terminal(), show_output=False) as progress:
            progress.started("build")
            progress.close()
            progress.close()
            assert nothing_is_live()

    @pytest.mark.parametrize("text", MARKUP)
    def test_markup_is_text(self, text: str) -> None:
        console = terminal()
        with ConsoleProgress(console, show_output=True) as progress:
            progress.started(text)
            progress.engine_event(StepStarted(1, text))
            progress.engine_event(OutputLine(1, text))
            progress.notice(text)
            progress.finished(text, 1)
        seen = without_terminal_codes(shown(console))
        assert f"  {text}\n" in seen
        assert f"! {text}\n" in seen
        assert f"✓ {text} 1.0 s\n" in seen
        assert f" {text} {text}" in seen

    def test_output_shows_beside_the_step_and_does_not_stay(self) -> None:
        console = terminal()
        with ConsoleProgress(console, show_output=False) as progress:
            progress.started("build")
            progress.engine_event(OutputLine(1, "Installing gems"))
            progress.engine_event(OutputLine(1, ""))
        seen = without_terminal_codes(shown(console))
        assert "build Installing gems" in seen
        assert "  Installing gems\n" not in seen

    def test_output_without_a_step_is_accepted(self) -> None:
        console = terminal()
        with ConsoleProgress(console, show_output=False) as progress:
            progress.engine_event(OutputLine(1, "Installing gems"))
        assert shown(console) == ""


class TestTexts:
    """A text comes out as it was given, on a terminal and in a pipe."""

    @pytest.mark.parametrize("text", TEXTS)
    @pytest.mark.parametrize("console", [plain, terminal])
    def test_are_printed_as_they_are(self, console: Callable[[], Console], text: str) -> None:
        to = console()
        print_verbatim(to, text)
        print_verbatim(to, "a ", (text, "red"), " z")
        assert without_terminal_codes(shown(to)) == f"{text}\na {text} z\n"

    @pytest.mark.parametrize("text", TEXTS[:4])
    def test_of_a_step_are_shown_as_they_are(self, text: str) -> None:
        to = terminal()
        with ConsoleProgress(to, show_output=True) as progress:
            progress.started(text)
            progress.engine_event(StepStarted(1, text))
            progress.engine_event(OutputLine(1, text))
            progress.finished(text, 1)
        seen = without_terminal_codes(shown(to))
        assert f" {text} {text}" in seen
        assert f"  {text}\n" in seen
        assert f"✓ {text} 1.0 s\n" in seen

    @pytest.mark.parametrize("forced", ["", "1"])
    def test_of_an_error_are_shown_as_they_are(
        self, repository: Repository, in_process: InProcess, monkeypatch: pytest.MonkeyPatch, forced: str
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", forced)
        monkeypatch.chdir(repository.top)
        run = in_process("build", "--source", "y.js:100:1 [red] 'x'")
        assert run.exit_code == 2
        assert "y.js:100:1 [red] 'x'" in without_terminal_codes(run.stderr)

    @pytest.mark.parametrize("forced", ["", "1"])
    def test_of_a_wrong_argument_are_shown_as_they_are(
        self, in_process: InProcess, monkeypatch: pytest.MonkeyPatch, forced: str
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", forced)
        assert "y.js:100:1 [red]" in without_terminal_codes(in_process("plan", "y.js:100:1 [red]").stderr)


class TestTheConsoles:
    def test_are_where_progress_and_answers_belong(self, capsys: pytest.CaptureFixture[str]) -> None:
        error_console().print("progress")
        answer_console().print("answer")
        assert capsys.readouterr() == ("answer\n", "progress\n")

    def test_colour_that_is_forced_into_a_log_makes_nothing_live(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Many workflows set it for all their tools, and a log would hold each frame of a live display.
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert not sys.stderr.isatty()
        with ConsoleProgress(error_console(), show_output=False) as progress:
            progress.started("build")
            progress.engine_event(OutputLine(1, "Installing gems"))
        assert without_terminal_codes(capsys.readouterr().err) == "build …\n  | Installing gems\n"

    def test_a_terminal_that_can_do_nothing_gets_plain_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "dumb")
        console = Console(file=io.StringIO(), force_terminal=True, width=60)
        with ConsoleProgress(console, show_output=False) as progress:
            progress.started("build")
            progress.engine_event(OutputLine(1, "Installing gems"))
        assert shown(console) == "build …\n  | Installing gems\n"
