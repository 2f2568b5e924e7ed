"""The files through which a step of GitHub Actions passes outputs and summaries to its runner."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from pipeline.rules.errors import UsageError

_DELIMITER_BYTES = 16


def output_lines(values: Mapping[str, str]) -> str:
    """Return step outputs in the runner's format ("Workflow commands", multiline strings).

    Each value is enclosed in an unpredictable delimiter, so that no value can end early and define another output.

    Args:
        values: The outputs by name.
    """
    return "".join(_output(name, value) for name, value in values.items())


def append(path: Path, text: str) -> None:
    """Append to a file of the runner, which keeps what it contains already.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        msg = f"Cannot write {path}: {error.strerror}."
        raise UsageError(
            msg, hint="GITHUB_OUTPUT and GITHUB_STEP_SUMMARY are set by the runner; do not change them."
        ) from error


def _output(name: str, value: str) -> str:
    delimiter = secrets.token_hex(_DELIMITER_BYTES)
    while delimiter in value:
        delimiter = secrets.token_hex(_DELIMITER_BYTES)
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
