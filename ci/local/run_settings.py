"""The settings of one run on the host, and the plan that follows from them without an engine or a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ci.local.engine_choice import EngineChoice
from ci.local.git_checkout import HostCheckout, read_host_checkout
from ci.system.secret_source import SecretKind, SecretSource, SecretSourceError
from pipeline.registry.credentials import Credentials
from pipeline.rules.checkout import Checkout
from pipeline.rules.errors import CheckoutError, UsageError
from pipeline.rules.image_name import ImageName
from pipeline.rules.planning import RunPlan, plan_run
from pipeline.rules.shared_options import DEFAULT_REGISTRY, AccessOptions, RunRequest

GITHUB_TOKEN = SecretSource(kind=SecretKind.ENV, place="GITHUB_TOKEN")
"""The token that is used for GHCR if none is given."""


def current_directory() -> Path:
    """Return the current directory.

    Raises:
        UsageError: It was removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        msg = "The current directory no longer exists."
        raise UsageError(msg, hint="Change to a clone of the repository.") from error


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a run: the request to the pipeline, and the options that only `lr-ci` has.

    Attributes:
        request: The request to the pipeline.
        folder: Where the command was started.
        username: The user at the registry; the image's owner if None.
        token: Where the token is; if None, `GITHUB_TOKEN` for GHCR if that is set, then Docker's configuration.
        timeout: Seconds that one operation at the registry may take with its retries.
        build_secrets: Where the build secrets are, by their ids.
        engine: Which engine to use.
    """

    request: RunRequest
    folder: Path = field(default_factory=current_directory)
    username: str | None = None
    token: SecretSource | None = None
    timeout: float = AccessOptions.timeout
    build_secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    engine: EngineChoice = EngineChoice.AUTO

    async def plan(self) -> RunPlan:
        """Plan the run, without an engine, a network or credentials.

        A checkout is not needed if the request has both ref and commit.

        Raises:
            CheckoutError: Git could not read what is checked out.
            RefError: The ref or the commit cannot be published.
            ImageNameError: The registry, owner or name is not valid.
        """
        checkout: Checkout | None = None
        try:
            checkout = (await self.checkout()).checkout
        except CheckoutError:
            if self.request.ref is None or self.request.sha is None:
                raise
        return plan_run(self.request, checkout)

    async def checkout(self) -> HostCheckout:
        """Read the checkout that the command was started in.

        Raises:
            CheckoutError: Git could not read it.
        """
        request = self.request
        return await read_host_checkout(self.folder, request.source, request.sha, request.ref, request.dockerfile)

    async def given_credentials(self, image: ImageName) -> Credentials | None:
        """Return the credentials that were given for an image's registry, or None.

        Raises:
            UsageError: The token cannot be read.
        """
        token = self.token
        if token is None and image.registry == DEFAULT_REGISTRY and GITHUB_TOKEN.is_set:
            token = GITHUB_TOKEN
        if token is None:
            return None
        try:
            return Credentials(username=self.username or image.owner, password=await token.read_token())
        except SecretSourceError as error:
            raise UsageError(error.message, hint=error.hint) from None
