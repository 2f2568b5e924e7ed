"""The files that a step of GitHub Actions speaks to its runner by, and what stands for them on a laptop."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from pipeline.rules.errors import UsageError

_DELIMITER_BYTES = 16


def output_lines(values: Mapping[str, str]) -> str:
    """Write step outputs as the runner reads them ("Workflow commands", multiline strings).

    Each value stands between two lines that nobody can foresee, so that no value can end itself and begin another.

    Args:
        values: The outputs by name.
    """
    return "".join(_output(name, value) for name, value in values.items())


def append(path: Path, text: str) -> None:
    """Append to a file of the runner, which other steps write to as well.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        msg = f"{path} could not be written: {error.strerror}."
        raise UsageError(
            msg, hint="The runner sets GITHUB_OUTPUT and GITHUB_STEP_SUMMARY; leave them as it does."
        ) from error


def _output(name: str, value: str) -> str:
    delimiter = secrets.token_hex(_DELIMITER_BYTES)
    while delimiter in value:
        delimiter = secrets.token_hex(_DELIMITER_BYTES)
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
