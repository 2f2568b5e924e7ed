"""Verifies a published image: pulls it by its digest, runs it, and checks what it must do.

The checks run inside the image, by `probe.sh`. An image without a shell can only be started: whether its command keeps
running or ends with 0 is seen from outside.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass
from importlib import resources

import anyio
import dagger
from dagger import dag

from pipeline.engine.builder import EngineAccess
from pipeline.engine.failures import pull_error
from pipeline.rules.errors import VerificationError
from pipeline.rules.image_name import ImageName
from pipeline.rules.runtime_checks import (
    UP_SECONDS,
    CheckKind,
    CheckResult,
    ImageRuntime,
    RuntimeChecks,
    ServerCheck,
    VerifiedImage,
    server_check,
)
from pipeline.rules.text import cause, last_lines

_PROBE = resources.files("pipeline.engine").joinpath("probe.sh")
_SHELL = "/bin/sh"
_FIRST_OF_PROBE, _LAST_OF_PROBE = 95, 99
"""The exit codes of the probe; the shell itself, or an engine without one, exits with others."""


async def verify_image(
    image: ImageName, digest: str, runtime: ImageRuntime, access: EngineAccess, checks: RuntimeChecks
) -> VerifiedImage:
    """Pull an image by digest, run it, and check what it must do.

    Args:
        image: The image.
        digest: Its digest.
        runtime: How it runs, by its configuration.
        access: How the engine reaches the registry.
        checks: What the caller requires.

    Raises:
        AuthError: The registry denied pull access.
        RegistryError: The image could not be pulled.
        UsageError: A path is requested, but no port is known.
        VerificationError: The image failed a check, or a check cannot be made.
    """
    reference = image.at(digest)
    container = access.signed_in(dag.container(), image).from_(reference, registry_service=access.service)
    try:
        await container.sync()
    except dagger.DaggerError as error:
        raise pull_error(error, image, reference) from error
    # A new variable each time, or the engine answers with the cached result of an earlier run.
    running = _Running(container.with_env_variable("VERIFICATION", secrets.token_hex(8)), reference)
    passed: list[CheckResult] = []
    if checks.command is not None:
        output = await running.output(list(checks.command), reference)
        passed.append(CheckResult(check=shlex.join(checks.command), result=output))
    check = server_check(checks, runtime)
    if check is not None:
        passed.append(CheckResult(check=check.what, result=await running.check(check)))
    return VerifiedImage(reference=reference, checks=tuple(passed))


@dataclass(frozen=True, slots=True)
class _Running:
    container: dagger.Container
    reference: str

    async def output(self, command: list[str], what: str) -> str:
        """Run a command, and return its output."""
        try:
            return (await self.container.with_exec(command).stdout()).strip()
        except dagger.DaggerError as error:
            raise _failure(error, command, what) from error

    async def check(self, check: ServerCheck) -> str:
        """Run the image's command and check it; return what was seen."""
        what = f"{check.what} of {self.reference}"
        command = [_SHELL, "-c", _PROBE.read_text(encoding="utf-8"), "probe", *check.arguments()]
        try:
            return (await self.container.with_exec(command).stdout()).strip()
        except dagger.DaggerError as error:
            probed = isinstance(error, dagger.ExecError) and _FIRST_OF_PROBE <= error.exit_code <= _LAST_OF_PROBE
            if probed or await self._has_shell():
                raise _failure(error, command, what) from error
        if check.required:
            msg = f"{what} cannot be checked: the image has no {_SHELL}."
            raise VerificationError(msg, hint="Leave out --path and --port, and it is only started; or give --command.")
        result = await self._start(list(check.command))
        if check.kind is CheckKind.UP:
            return result
        return f"not checked, as the image has no {_SHELL}; its command: {result}"

    async def _has_shell(self) -> bool:
        try:
            await self.container.with_exec([_SHELL, "-c", ":"]).sync()
        except dagger.DaggerError:
            return False
        return True

    async def _start(self, command: list[str]) -> str:
        """Run the image's command without a shell; the engine stops it when the request is given up."""
        with anyio.move_on_after(UP_SECONDS):
            await self.output(command, self.reference)
            return "exited with 0"
        return f"still running after {UP_SECONDS} s"


def _failure(error: dagger.DaggerError, command: list[str], what: str) -> VerificationError:
    if not isinstance(error, dagger.ExecError):
        return VerificationError(f"{what} could not be run: {cause(error)}.")
    output = last_lines(error.stderr) or last_lines(error.stdout) or "no output"
    if command[0] == _SHELL:
        msg = f"{what} failed: {output}"
    else:
        msg = f"{what} failed: `{' '.join(command)}` exited with {error.exit_code}: {output}"
    return VerificationError(msg, hint="The image is published, but do not deploy it.")
