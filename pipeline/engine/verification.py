"""Verifies a published image: pulls it by its digest, runs it, and checks what it must do.

The checks run inside the image, by `probe.sh`. An image without a shell can only be started: whether its command keeps
running or ends with 0 is seen from outside.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import anyio
import dagger
from dagger import dag

from pipeline.engine.builder import EngineAccess
from pipeline.engine.failures import OTHER_PROCESSOR, no_answer, pull_error
from pipeline.engine.platforms import own_platform
from pipeline.registry.manifests import ImageProperties
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
    image: ImageName, digest: str, images: Sequence[ImageProperties], access: EngineAccess, checks: RuntimeChecks
) -> VerifiedImage:
    """Pull an image by digest, run it, and check what it must do.

    Of an index, the image for the engine's own platform must pass. The others are tried too; one that the engine cannot
    run, as it has no emulator for its processor, is reported as not run.

    Args:
        image: The image.
        digest: Its digest.
        images: What its configuration says, or those of an index's images; empty if it is not known.
        access: How the engine reaches the registry.
        checks: What the caller requires.

    Raises:
        AuthError: The registry denied pull access.
        RegistryError: The image could not be pulled.
        UsageError: A path is requested, but no port is known.
        VerificationError: The image failed a check, or a check cannot be made.
    """
    reference = image.at(digest)
    variants = {each.platform: each.runtime for each in images if each.platform is not None}
    verification = _Verification(image, reference, access, checks)
    if len(variants) <= 1:
        passed = await verification.passed(dag.container(), images[0].runtime if images else ImageRuntime())
        return VerifiedImage(reference=reference, checks=passed)
    try:
        own = await own_platform()
    except dagger.DaggerError as error:
        doing = "reading the engine's platform"
        raise no_answer(doing, error) from error
    results: list[CheckResult] = []
    not_run: list[str] = []
    for platform in sorted(variants, key=lambda each: not each.matches(own)):
        container = dag.container(platform=dagger.Platform(str(platform)))
        try:
            passed = await verification.passed(container, variants[platform])
        except VerificationError as error:
            if platform.matches(own) or OTHER_PROCESSOR not in error.message:
                raise
            not_run.append(str(platform))
        else:
            results += [each.model_copy(update={"platform": str(platform)}) for each in passed]
    if not results:
        msg = f"{reference} cannot be run on this engine ({own}): it is for {', '.join(not_run)}."
        raise VerificationError(msg, hint="Run this on an engine for one of these, or install qemu-user-static there.")
    return VerifiedImage(reference=reference, checks=tuple(results), not_run=tuple(not_run))


@dataclass(frozen=True, slots=True)
class _Verification:
    image: ImageName
    reference: str
    access: EngineAccess
    checks: RuntimeChecks

    async def passed(self, container: dagger.Container, runtime: ImageRuntime) -> tuple[CheckResult, ...]:
        """Run the image in a container that is empty so far, and return the checks that it passed."""
        container = self.access.signed_in(container, self.image)
        container = container.from_(self.reference, registry_service=self.access.service)
        try:
            await container.sync()
        except dagger.DaggerError as error:
            raise pull_error(error, self.image, self.reference, self.access.credentials) from None
        # A new variable each time, or the engine answers with the cached result of an earlier run.
        running = _Running(container.with_env_variable("VERIFICATION", secrets.token_hex(8)), self.reference)
        passed: list[CheckResult] = []
        if self.checks.command is not None:
            output = await running.output(list(self.checks.command), self.reference)
            passed.append(CheckResult(check=shlex.join(self.checks.command), result=output))
        check = server_check(self.checks, runtime)
        if check is not None:
            passed.append(CheckResult(check=check.what, result=await running.check(check)))
        return tuple(passed)


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
