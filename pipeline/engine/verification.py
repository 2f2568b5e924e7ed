"""Verifies a published image: pulls it by its digest, runs a command in it, starts its server and sends a request."""

from __future__ import annotations

import secrets
from importlib import resources

import dagger
from dagger import dag

from pipeline.engine.builder import EngineAccess
from pipeline.engine.failures import pull_error
from pipeline.rules.errors import VerificationError
from pipeline.rules.image_name import ImageName
from pipeline.rules.runtime_checks import RuntimeChecks, VerifiedImage
from pipeline.rules.text import cause, last_lines

_PROBE = resources.files("pipeline.engine").joinpath("probe.sh")


async def verify_image(image: ImageName, digest: str, access: EngineAccess, checks: RuntimeChecks) -> VerifiedImage:
    """Pull an image by digest, run a command in it, start its server and send a request to it.

    Args:
        image: The image.
        digest: Its digest.
        access: How the engine reaches the registry.
        checks: What the image must do.

    Raises:
        AuthError: The registry denied pull access.
        RegistryError: The image could not be pulled.
        VerificationError: The image failed a check.
    """
    reference = image.at(digest)
    container = access.signed_in(dag.container(), image).from_(reference, registry_service=access.service)
    # A new variable each time, or the engine answers with the cached result of an earlier run.
    container = container.with_env_variable("VERIFICATION", secrets.token_hex(8))
    try:
        entrypoint = await container.entrypoint()
        arguments = await container.default_args()
    except dagger.DaggerError as error:
        raise pull_error(error, image, reference) from error
    output = await _run(container, list(checks.command), reference)
    script = _PROBE.read_text(encoding="utf-8")
    probe = ["sh", "-c", script, "probe", str(checks.port), checks.path, str(checks.seconds)]
    status = await _run(container, [*probe, *entrypoint, *arguments], f"{checks.path} of {reference}")
    return VerifiedImage(reference=reference, output=output.strip(), status=status.strip())


async def _run(container: dagger.Container, command: list[str], what: str) -> str:
    try:
        return await container.with_exec(command).stdout()
    except dagger.ExecError as error:
        output = last_lines(error.stderr) or last_lines(error.stdout)
        shortened = " ".join(command[:2] if command[0] == "sh" else command)
        msg = f"{what} failed: `{shortened}` exited with {error.exit_code}: {output or 'no output'}"
        raise VerificationError(msg, hint="The image is published, but do not deploy it.") from error
    except dagger.DaggerError as error:
        msg = f"{what} could not be run: {cause(error)}."
        raise VerificationError(msg) from error
