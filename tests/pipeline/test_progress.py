from __future__ import annotations

import pytest

from pipeline.progress import PlainProgress, Steps


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, step: str) -> None:
        self.lines.append(f"started {step}")

    def finished(self, step: str, seconds: float) -> None:
        assert seconds >= 0
        self.lines.append(f"finished {step}")

    def notice(self, text: str) -> None:
        self.lines.append(text)


def test_steps_are_told_and_timed_in_the_order_they_end() -> None:
    heard = Heard()
    steps = Steps(heard)
    with steps.step("outer"), steps.step("inner"):
        steps.progress.notice("by the way")
    assert heard.lines == ["started outer", "started inner", "by the way", "finished inner", "finished outer"]
    assert [step.name for step in steps.finished] == ["inner", "outer"]


def test_a_step_that_fails_is_begun_but_not_reported() -> None:
    heard = Heard()
    steps = Steps(heard)
    with pytest.raises(KeyError), steps.step("breaks"):
        raise KeyError
    assert heard.lines == ["started breaks"]
    assert steps.finished == ()


def test_plain_progress_writes_to_standard_error_alone(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    progress.started("build")
    progress.finished("build", 1.25)
    progress.notice("Take care.")
    assert capsys.readouterr() == ("", "build …\nbuild done in 1.2 s\nTake care.\n")
