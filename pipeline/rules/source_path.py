"""The source directory: a path in the repository, from its top.

Pure.
"""

from __future__ import annotations

from pipeline.rules.errors import UsageError
from pipeline.rules.text import quoted

TOP = "."
"""The repository's top directory."""


def parse_source(text: str) -> str:
    """Read the path of a directory in the repository, such as `services/api`.

    A leading `/` or `./` and repeated slashes mean nothing: every path starts at the repository's top.

    Returns:
        The path without them; `.` for the top directory itself.

    Raises:
        UsageError: The path is empty, leads out of the repository, or contains control characters.
    """
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        msg = f"Invalid source {quoted(text)}: the path leads out of the repository."
        raise UsageError(msg, hint="Give a directory in the repository, such as services/api.")
    if not text or not text.isprintable():
        msg = f"Invalid source {quoted(text)}: expected a directory in the repository, such as services/api."
        raise UsageError(msg)
    return "/".join(parts) or TOP


def is_below(path: str, source: str) -> bool:
    """Return whether a path of the repository is the source directory or in it."""
    return source in {TOP, path} or path.startswith(f"{source}/")


def missing_source(source: str) -> UsageError:
    """Return the error for a source directory that does not exist."""
    msg = f"Directory {quoted(source)} not found in the repository."
    return UsageError(msg, hint="Check --source: a path from the repository's top, without symbolic links.")


def missing_dockerfile(dockerfile: str, source: str) -> UsageError:
    """Return the error for a Dockerfile that does not exist."""
    msg = f"Dockerfile {quoted(dockerfile)} not found in directory {quoted(source)}."
    return UsageError(msg, hint="Check --source and --dockerfile, which is a path inside the source.")
