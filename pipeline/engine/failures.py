"""Turns what an engine says when it fails into one of our errors.

The texts are those of a Dagger engine v0.21.8 and of the embedded one; what is not recognised is passed on whole.
"""

from __future__ import annotations

import re

import dagger

from pipeline.registry.credentials import access_hint
from pipeline.rules.errors import AuthError, BuildError, EngineError, PipelineError, RegistryError, TransientError
from pipeline.rules.image_name import ImageName
from pipeline.rules.text import last_lines, one_line

_PROCESS = re.compile(r'process "(?P<command>.*?)" did not complete successfully: exit code: (?P<code>\d+)', re.DOTALL)
# A bare number counts only at the end: "short read: expected 403 bytes" is none of a registry's answers.
_DENIED = re.compile(
    r"(?:^|:\s*)40[13]\s*$|unauthorized|denied|forbidden|no basic auth credentials|authentication required",
    re.IGNORECASE,
)
# What an engine says of 408, 429, 5xx and dropped connections; of some only that the upload ended short.
_TRANSIENT = re.compile(
    r"short read|unexpected EOF|connection reset|broken pipe|toomanyrequests|\b(?:408 Request Timeout"
    r"|429 Too Many Requests|500 Internal Server Error|502 Bad Gateway|503 Service Unavailable|504 Gateway Timeout)",
    re.IGNORECASE,
)
_DISK_FULL = "no space left on device"
_SHELLS = ("/bin/sh -c ", "/bin/bash -c ")


def build_error(error: dagger.DaggerError, what: str) -> PipelineError:
    """Say why an image could not be built.

    Args:
        error: What the engine answered.
        what: What was being built, such as `lr-backend from Dockerfile`.

    Returns:
        An error that ends with the failing command, its exit code and its last output, where there is one.
    """
    text = str(error)
    if not isinstance(error, dagger.QueryError):
        return no_answer(f"building {what}", error)
    if _DISK_FULL in text.lower():
        hint = "Free some space where the engine keeps its store, and run this again."
        return BuildError(f"{what} could not be built: {_DISK_FULL} in the engine's store.", hint=hint)
    if isinstance(error, dagger.ExecError):
        output = last_lines(error.stderr) or last_lines(error.stdout)
        return BuildError(_failed(what, " ".join(error.command), error.exit_code, output))
    if match := _PROCESS.search(text):
        return BuildError(_failed(what, match["command"], int(match["code"]), last_lines(text[match.end() :])))
    return BuildError(f"{what} could not be built: {one_line(text)}")


def upload_error(error: dagger.DaggerError, image: ImageName, reference: str) -> PipelineError:
    """Say why an image could not be uploaded."""
    text = str(error)
    if not isinstance(error, dagger.QueryError):
        return no_answer(f"uploading {reference}", error)
    if _DENIED.search(text):
        return AuthError(f"{image.registry} refuses to take {reference}: {one_line(text)}", hint=access_hint(image))
    hint = "Run this again; layers that arrived are not sent twice."
    kind = TransientError if _TRANSIENT.search(text) else RegistryError
    return kind(f"{reference} could not be uploaded: {one_line(text).removesuffix('.')}.", hint=hint)


def pull_error(error: dagger.DaggerError, image: ImageName, reference: str) -> PipelineError:
    """Say why an image could not be pulled."""
    text = str(error)
    if not isinstance(error, dagger.QueryError):
        return no_answer(f"pulling {reference}", error)
    if _DENIED.search(text):
        return AuthError(f"{image.registry} does not give out {reference}: {one_line(text)}", hint=access_hint(image))
    return RegistryError(f"{reference} could not be pulled: {one_line(text)}", hint="Check that it was published.")


def no_answer(doing: str, error: dagger.DaggerError) -> EngineError:
    """Say that the engine failed at something that is neither the build's nor the registry's fault."""
    return EngineError(f"The engine did not answer while {doing}: {one_line(str(error)).removesuffix('.')}.")


def _failed(what: str, command: str, code: int, output: str) -> str:
    for shell in _SHELLS:
        command = command.removeprefix(shell)
    ending = f": {output}" if output else " without output"
    return f"{what} could not be built:\n`{one_line(command)}` exited with {code}{ending}"
