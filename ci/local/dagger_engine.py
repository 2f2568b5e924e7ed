"""What a run on the host does through the Dagger SDK.

Only `ci.deferred` imports this module, when an engine is needed: the SDK takes a second to import.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagger
from dagger import dag
from pydantic import SecretStr

from ci.local.engine_choice import EngineKind
from pipeline.engine.builder import NOT_SOURCE, DaggerBuilder, EngineAccess, Source
from pipeline.engine.failures import NO_EMULATOR, lacks_emulator
from pipeline.engine.verification import verify_image
from pipeline.registry.credentials import Credentials
from pipeline.rules.build_inputs import Recipe
from pipeline.rules.errors import BuildError, UsageError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan
from pipeline.rules.runtime_checks import RuntimeChecks, VerifiedImage
from pipeline.rules.text import last_lines
from pipeline.run import PublishedImage

_HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class DaggerEngine:
    """An open session with an engine, as one image uses it.

    Attributes:
        builder: Builds and uploads the run's image.
    """

    builder: DaggerBuilder

    async def export(self, plan: RunPlan, path: Path) -> None:
        """Write the image to a file, as an OCI archive.

        Raises:
            BuildError: The archive could not be written.
        """
        await self.builder.export(plan, str(path.absolute()))

    async def run_inside(self, plan: RunPlan, command: Sequence[str]) -> str:
        """Run a command in the image and return its output.

        Raises:
            BuildError: The command failed.
        """
        container = await self.builder.container(plan)
        # A new variable each time, or the engine answers with the cached output of an earlier run.
        fresh = container.with_env_variable("LR_CI_RUN", secrets.token_hex(8))
        try:
            return await fresh.with_exec(list(command)).stdout()
        except dagger.ExecError as error:
            output = last_lines(error.stderr) or last_lines(error.stdout) or "no output"
            msg = f"`{shlex.join(command)}` exited with {error.exit_code} in the image: {output}"
            raise BuildError(msg, hint=_emulator_hint(error)) from error
        except dagger.DaggerError as error:
            msg = f"`{shlex.join(command)}` could not be run in the image: {last_lines(str(error))}"
            raise BuildError(msg, hint=_emulator_hint(error)) from error

    async def open_shell(self, plan: RunPlan) -> None:
        """Open a shell in the image, on the user's terminal.

        Raises:
            UsageError: The engine could not open one.
        """
        container = await self.builder.container(plan)
        try:
            await container.terminal().sync()
        except dagger.DaggerError as error:
            msg = f"No shell could be opened in the image: {last_lines(str(error))}"
            hint = _emulator_hint(error) or "Give a command instead: lr-ci shell -- env"
            raise UsageError(msg, hint=hint) from error

    async def verify(self, image: ImageName, found: PublishedImage, checks: RuntimeChecks) -> VerifiedImage:
        """Run an image; see `pipeline.engine.verification`."""
        return await verify_image(image, found.digest, found.images, self.builder.access, checks)


def engine_for(
    kind: EngineKind,
    *,
    source: Path,
    source_path: str,
    recipe: Recipe,
    secrets: Mapping[str, SecretStr],
    image: ImageName,
    credentials: Credentials | None,
) -> DaggerEngine:
    """Return the engine of the open session, for one image.

    Args:
        kind: Which engine it is.
        source: The directory to build.
        source_path: Its path in the repository.
        recipe: How it is built.
        secrets: The build secrets by their ids.
        image: The image, whose registry the engine must reach.
        credentials: For that registry, or None.
    """
    directory = dag.host().directory(str(source.absolute()), exclude=list(NOT_SOURCE))
    access = EngineAccess(credentials, _registry_service(image) if kind is EngineKind.DAGGER else None)
    named = tuple(dag.set_secret(name, secret.get_secret_value()) for name, secret in secrets.items())
    return DaggerEngine(DaggerBuilder(Source(directory, source_path, recipe, named), access))


def _emulator_hint(error: dagger.DaggerError) -> str:
    return f"{NO_EMULATOR}." if lacks_emulator(error) else ""


def _registry_service(image: ImageName) -> dagger.Service | None:
    """Return a registry on the host's loopback as a service: a Dagger engine has a network of its own."""
    if not image.is_loopback:
        return None
    port = image.port or _HTTPS_PORT
    return dag.host().service([dagger.PortForward(backend=port, frontend=port)])
