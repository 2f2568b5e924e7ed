"""What an engine's failures mean: the kind of each, and what to do about it.

The texts are those of a Dagger engine v0.21.8 and of the embedded one; any other text is passed on unchanged.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import dagger

from pipeline.registry.credentials import Credentials
from pipeline.registry.failures import WRONG_SECONDS, access_hint
from pipeline.rules.errors import AuthError, BuildError, EngineError, PipelineError, RegistryError, TransientError
from pipeline.rules.failed_step import Dockerfile, FailedStep
from pipeline.rules.http_statuses import RETRIED
from pipeline.rules.image_name import ImageName
from pipeline.rules.text import cause, one_line, redacted

_PROCESS = re.compile(r'process "(?P<command>.*?)" did not complete successfully: exit code: (?P<code>\d+)', re.DOTALL)
# A bare number counts only at the end: "short read: expected 403 bytes" is not an HTTP status.
_DENIED = re.compile(
    r"(?:^|:\s*)40[13]\s*$|unauthorized|denied|forbidden|no basic auth credentials|authentication required",
    re.IGNORECASE,
)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUSES = "|".join(f"{status} {_PHRASES.get(status, '')}".rstrip() for status in sorted(RETRIED))
_EXPIRED = re.compile(r"(?:^|:\s*)401\s*$|401 unauthorized", re.IGNORECASE)
# An engine reports some refused or dropped requests only as an upload that ended too early.
_TRANSIENT = re.compile(
    r"short read|unexpected EOF|connection re(?:set|fused)|broken pipe|time(?:d |-)?out|made no progress"
    rf"|toomanyrequests|\b(?:{_STATUSES})",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\b(?:400 Bad Request|404 Not Found|405 Method|413 )|no such host|certificate|name (?:unknown|invalid)",
    re.IGNORECASE,
)
_DISK_FULL = "no space left on device"
OTHER_PROCESSOR = "exec format error"
"""The kernel's message for a program of another processor, if no emulator is registered for it."""
NO_EMULATOR = "The engine has no emulator for that processor: `apt-get install qemu-user-static` on its host brings one"
_SHELLS = ("/bin/sh -c ", "/bin/bash -c ")


def build_error(error: dagger.DaggerError, name: str, dockerfile: Dockerfile) -> PipelineError:
    """Return the error for an image that could not be built.

    Args:
        error: The engine's error.
        name: The name of the image.
        dockerfile: What it was built from.

    Returns:
        An error with the failed command, its lines of the Dockerfile, its exit code and the end of its output, if a
        command failed.
    """
    text = str(error)
    what = f"{name} from {dockerfile.path}"
    if not isinstance(error, dagger.QueryError):
        return no_answer(f"building {what}", error)
    if _DISK_FULL in text.lower():
        hint = "Free some space on the disk of the engine's store, and run this again."
        return BuildError(f"{what} could not be built: {_DISK_FULL} in the engine's store.", hint=hint)
    hint = f"{NO_EMULATOR}, or build in a stage FROM --platform=$BUILDPLATFORM." if lacks_emulator(error) else ""
    if (step := _failed_step(error)) is not None:
        return BuildError(f"{what} could not be built:\n{step.described(dockerfile)}", hint=hint)
    return BuildError(f"{what} could not be built: {one_line(text)}", hint=hint)


def command_failed(error: dagger.DaggerError) -> bool:
    """Return whether a build failed because a command in it did."""
    return _failed_step(error) is not None


def _failed_step(error: dagger.DaggerError) -> FailedStep | None:
    if isinstance(error, dagger.ExecError):
        # A Dagger engine does not say in which order the two streams were written; its own log does.
        apart = "\n".join(stream.removesuffix("\n") for stream in (error.stdout, error.stderr) if stream)
        output = (error.error.extensions or {}).get("output", apart)
        return FailedStep(error.command, error.exit_code, str(output))
    if (match := _PROCESS.search(str(error))) is None:
        return None
    command = match["command"].replace('\\"', '"')
    shell = next((shell for shell in _SHELLS if command.startswith(shell)), "")
    words = [*shell.split(), command.removeprefix(shell)] if shell else command.split()
    return FailedStep(words, int(match["code"]), str(error)[match.end() :])


def lacks_emulator(error: dagger.DaggerError) -> bool:
    """Return whether a command failed because it is for another processor."""
    return OTHER_PROCESSOR in str(error) or OTHER_PROCESSOR in getattr(error, "stderr", "")


def upload_error(
    error: dagger.DaggerError, image: ImageName, reference: str, credentials: Credentials | None = None
) -> PipelineError:
    """Return the error for an image that could not be uploaded.

    Engines leave out many statuses of a registry. So a failure of an unknown kind is worth a few attempts too.
    """
    text = str(error)
    if not isinstance(error, dagger.QueryError):
        return no_answer(f"uploading {reference}", error)
    reason = _cause(error, credentials)
    if _DENIED.search(text):
        return AuthError(f"{image.registry} denied push access to {reference}: {reason}.", hint=access_hint(image))
    msg = f"{reference} could not be uploaded: {reason}."
    hint = "Run this again; layers that arrived are not sent again."
    if _TRANSIENT.search(text):
        return TransientError(msg, hint=hint)
    return (
        RegistryError(msg, hint=hint) if _FINAL.search(text) else TransientError(msg, hint=hint, within=WRONG_SECONDS)
    )


def is_expired(error: dagger.DaggerError) -> bool:
    """Return whether a registry refused credentials that it may have accepted before: a new session has a new token."""
    return isinstance(error, dagger.QueryError) and _EXPIRED.search(str(error)) is not None


def pull_error(
    error: dagger.DaggerError, image: ImageName, reference: str, credentials: Credentials | None = None
) -> PipelineError:
    """Return the error for an image that could not be pulled."""
    text = str(error)
    if not isinstance(error, dagger.QueryError):
        return no_answer(f"pulling {reference}", error)
    reason = _cause(error, credentials)
    if _DENIED.search(text):
        return AuthError(f"{image.registry} denied pull access to {reference}: {reason}.", hint=access_hint(image))
    return RegistryError(f"{reference} could not be pulled: {reason}.", hint="Check that it was published.")


def no_answer(doing: str, error: dagger.DaggerError) -> EngineError:
    """Return the error for an engine that failed at something that is neither the build's nor the registry's fault."""
    return EngineError(f"The engine did not answer while {doing}: {cause(error)}.")


def _cause(error: dagger.DaggerError, credentials: Credentials | None) -> str:
    return cause(error) if credentials is None else redacted(cause(error), credentials.secrets())
