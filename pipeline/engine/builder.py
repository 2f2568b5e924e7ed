"""The Dagger side of a run: builds the image, labels it, uploads it."""

from __future__ import annotations

from dataclasses import dataclass

import dagger
from dagger import dag

from pipeline.engine.failures import build_error, no_answer, upload_error
from pipeline.rules.errors import PipelineError, RegistryError, UsageError
from pipeline.rules.image_name import DIGEST, ImageName
from pipeline.rules.labels import FROM_DOCKERFILE, oci_labels
from pipeline.rules.planning import RunPlan
from pipeline.rules.text import quoted

# Each has a slash inside, so that it means the same to .gitignore's rules and to .dockerignore's.
NOT_SOURCE = (
    "**/.git",
    "**/node_modules",
    ".bundle/**",
    "config/master.key",
    "coverage/**",
    "log/**",
    "tmp/**",
    "vendor/bundle/**",
)
"""What is never part of a backend's source, whatever its own ignore files say; an engine need not be sent it."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an image is built from.

    Attributes:
        directory: The build context.
        dockerfile: The Dockerfile's path in it.
        platform: What it is built for; the engine's own when None.
    """

    directory: dagger.Directory
    dockerfile: str = "Dockerfile"
    platform: dagger.Platform | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """How the engine signs in at a registry.

    Attributes:
        username: The user; GHCR takes any with a token.
        secret: The password or token.
    """

    username: str
    secret: dagger.Secret


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """How the engine reaches the registry.

    Attributes:
        login: How it signs in, or None to use what it has.
        service: The registry, where it is a service that the engine can reach and the network cannot.
    """

    login: Login | None = None
    service: dagger.Service | None = None

    def signed_in(self, container: dagger.Container, image: ImageName) -> dagger.Container:
        """Return the container with the login for an image's registry."""
        if self.login is None:
            return container
        return container.with_registry_auth(image.registry, self.login.username, self.login.secret)


async def content_digest(directory: dagger.Directory) -> str:
    """Return a text that names what is in a folder.

    Raises:
        EngineError: The engine does not answer.
    """
    try:
        return await directory.digest()
    except dagger.DaggerError as error:
        doing = "reading the source"
        raise no_answer(doing, error) from error


async def default_platform() -> str:
    """Ask the engine what it builds for by itself, such as `linux/amd64`.

    Raises:
        EngineError: The engine does not answer.
    """
    try:
        return await dag.default_platform()
    except dagger.DaggerError as error:
        doing = "asking for its platform"
        raise no_answer(doing, error) from error


@dataclass(slots=True)
class DaggerBuilder:
    """Builds and uploads the image of one run by the engine.

    Attributes:
        plan: What the image is.
        source: What it is built from.
        access: How the engine reaches the registry.
    """

    plan: RunPlan
    source: Source
    access: EngineAccess = EngineAccess()
    _container: dagger.Container | None = None

    async def container(self) -> dagger.Container:
        """Describe the image with its labels; only what reads the Dockerfile's own labels is built for it.

        Raises:
            UsageError: There is no such Dockerfile.
            BuildError: The image could not be built.
        """
        if self._container is None:
            self._container = await self._labelled()
        return self._container

    async def build(self) -> None:
        """Build the image.

        Raises:
            UsageError: There is no such Dockerfile.
            BuildError: The image could not be built.
        """
        container = await self.container()
        try:
            await container.sync()
        except dagger.DaggerError as error:
            raise self._build_error(error) from error

    async def upload(self, reference: str) -> str:
        """Upload the image under a reference by tag and return its digest.

        Raises:
            AuthError: The registry does not take it from these credentials.
            RegistryError: The upload failed.
        """
        image = self.plan.image
        container = self.access.signed_in(await self.container(), image)
        try:
            address = await container.publish(reference, registry_service=self.access.service)
        except dagger.DaggerError as error:
            raise upload_error(error, image, reference) from error
        digest = address.rpartition("@")[2]
        if DIGEST.fullmatch(digest) is None:
            msg = f"The engine published {reference}, but answered {quoted(address)} instead of a digest."
            raise RegistryError(msg)
        return digest

    async def _labelled(self) -> dagger.Container:
        built = await _from_dockerfile(self.source, self._name)
        try:
            from_dockerfile = {key: await built.label(key) or "" for key in FROM_DOCKERFILE}
        except dagger.DaggerError as error:
            raise self._build_error(error) from error
        labels = oci_labels(
            image=self.plan.image,
            plan=self.plan.tags,
            commit=self.plan.commit,
            repository=self.plan.repository,
            origin=self.plan.origin,
            from_dockerfile=from_dockerfile,
        )
        for name, value in labels.items():
            built = built.with_label(name, value)
        return built

    def _build_error(self, error: dagger.DaggerError) -> PipelineError:
        return _build_error(error, self.source, self._name)

    @property
    def _name(self) -> str:
        return self.plan.image.name


async def check_build(source: Source, name: str) -> None:
    """Build an image and keep nothing of it; no ref, commit or registry is needed.

    Args:
        source: What it is built from.
        name: What to call it where it does not build.

    Raises:
        UsageError: There is no such Dockerfile.
        BuildError: The image could not be built.
    """
    container = await _from_dockerfile(source, name)
    try:
        await container.sync()
    except dagger.DaggerError as error:
        raise _build_error(error, source, name) from error


async def _from_dockerfile(source: Source, name: str) -> dagger.Container:
    try:
        found = await source.directory.exists(source.dockerfile)
    except dagger.DaggerError as error:
        raise _build_error(error, source, name) from error
    if not found:
        msg = f"There is no {quoted(source.dockerfile)} in the source folder."
        raise UsageError(msg, hint="Check --source, and --dockerfile, which is a path inside it.")
    return source.directory.docker_build(dockerfile=source.dockerfile, platform=source.platform)


def _build_error(error: dagger.DaggerError, source: Source, name: str) -> PipelineError:
    return build_error(error, f"{name} from {source.dockerfile}")
