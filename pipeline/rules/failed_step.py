"""What is shown of a failed step of a build: its lines of the Dockerfile, and the end of its output.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.rules.dockerfile import Instruction, command_text, exec_form, read_instructions
from pipeline.rules.text import one_line, shown_line, tail

_AROUND = 2
"""How many lines of the Dockerfile are shown before and after the step."""
_LONGEST_STEP = 20
"""How many lines of the step itself are shown."""
_OUTPUT_LINES = 50
_SHELL_LENGTH = 3
"""How many words a command in a shell has at least: `/bin/sh -c TEXT`."""


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The Dockerfile that was built.

    Attributes:
        path: Its path in the source.
        text: Its content; empty if it is not known.
    """

    path: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A command of a build that failed.

    Attributes:
        command: Its words; those of a shell form are the shell, its options and the text.
        exit_code: Its exit status.
        output: What it wrote, or the end of that.
    """

    command: Sequence[str]
    exit_code: int
    output: str

    def described(self, dockerfile: Dockerfile) -> str:
        """Return the command, its exit code, its lines of the Dockerfile and the last 50 lines of its output."""
        step = _instruction(read_instructions(dockerfile.text), self.command)
        command = one_line(_readable(self.command))
        where = "" if step is None else f" (line {step.first + 1} of {dockerfile.path})"
        lines, cut = tail(self.output, _OUTPUT_LINES)
        ending = ":" if lines else " without output"
        parts = [f"`{command}` exited with {self.exit_code}{where}{ending}"]
        if step is not None:
            parts += _excerpt(dockerfile.text, step)
        if lines:
            parts += [f"The last {len(lines)} lines of its output:" if cut else "Its output:"]
            parts += [f"  | {line}".rstrip() for line in lines]
        return "\n".join(parts)


def _readable(command: Sequence[str]) -> str:
    """Return a command as the Dockerfile has it: what a shell runs, or the words of an exec form."""
    return command[-1] if _is_in_shell(command) else " ".join(command)


def _is_in_shell(command: Sequence[str]) -> bool:
    return len(command) >= _SHELL_LENGTH and command[0].endswith("sh") and command[-2].endswith("c")


def _instruction(found: Sequence[Instruction], command: Sequence[str]) -> Instruction | None:
    """Return the RUN of a command; None if it has none, or several."""
    runs = [each for each in found if each.keyword == "RUN" and _runs(each, command)]
    return runs[0] if len(runs) == 1 else None


def _runs(instruction: Instruction, command: Sequence[str]) -> bool:
    text = command_text(instruction.rest)
    if words := exec_form(text):
        return words == list(command)
    bodies = [heredoc.body for heredoc in instruction.heredocs]
    return _readable(command).split() in [each.split() for each in (text, *bodies, " ".join([text, *bodies]))]


def _excerpt(text: str, step: Instruction) -> list[str]:
    """Return the lines of a step, with two before and after it, as an editor numbers them."""
    lines = [shown_line(line) for line in text.removesuffix("\n").split("\n")]
    last = min(step.last, step.first + _LONGEST_STEP - 1)
    shown = range(max(step.first - _AROUND, 0), min(last + _AROUND + 1, len(lines)))
    width = len(str(shown.stop))
    return [
        f"{'>' if step.first <= number <= last else ' '} {number + 1:>{width}} | {lines[number]}".rstrip()
        for number in shown
    ]
