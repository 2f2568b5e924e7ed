"""The Dagger side of a run: builds the image, labels it and uploads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import dagger
from dagger import dag

from pipeline.engine.failures import build_error, no_answer, upload_error
from pipeline.registry.credentials import Credentials
from pipeline.rules.build_inputs import DOCKERFILES, Recipe, default_dockerfile
from pipeline.rules.errors import BuildError, PipelineError, RegistryError
from pipeline.rules.image_name import DIGEST, ImageName
from pipeline.rules.labels import FROM_DOCKERFILE, oci_labels
from pipeline.rules.planning import RunPlan
from pipeline.rules.platforms import parse_platform
from pipeline.rules.source_path import missing_dockerfile, missing_source
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
"""What is never part of a backend's source, whatever its own ignore files contain; it is not sent to the engine."""


_NO_DIRECTORY = re.compile(r"workspace directory .*(?:no such file or directory|not a directory)")


@dataclass(frozen=True, slots=True)
class Source:
    """What an image is built from.

    Attributes:
        directory: The build context.
        path: Its path in the repository.
        recipe: How it is built.
        secrets: The build secrets; each has its id as name.
    """

    directory: dagger.Directory
    path: str
    recipe: Recipe
    secrets: tuple[dagger.Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """How the engine reaches the registry.

    Attributes:
        credentials: User and password or token, or None to use the engine's own.
        service: The registry, if it is a service that only the engine can reach.
    """

    credentials: Credentials | None = None
    service: dagger.Service | None = None

    def signed_in(self, container: dagger.Container, image: ImageName) -> dagger.Container:
        """Return the container with the credentials for an image's registry."""
        if self.credentials is None:
            return container
        secret = dag.set_secret("registry-token", self.credentials.password.get_secret_value())
        return container.with_registry_auth(image.registry, self.credentials.username, secret)


@dataclass(frozen=True, slots=True)
class DaggerBuilder:
    """Builds and uploads images of one source by the engine.

    Attributes:
        source: What they are built from.
        access: How the engine reaches the registry.
    """

    source: Source
    access: EngineAccess = EngineAccess()
    _containers: dict[RunPlan, dagger.Container] = field(default_factory=dict)

    async def content(self) -> str:
        """Return a digest of the source as it is.

        Raises:
            EngineError: The engine does not answer.
        """
        try:
            return await self.source.directory.digest()
        except dagger.DaggerError as error:
            doing = "reading the source"
            raise no_answer(doing, error) from error

    async def container(self, plan: RunPlan) -> dagger.Container:
        """Return the image with its labels; only what is needed to read the Dockerfile's labels is built.

        Raises:
            UsageError: The Dockerfile does not exist.
            BuildError: The image could not be built.
        """
        if plan not in self._containers:
            self._containers[plan] = await self._labelled(plan)
        return self._containers[plan]

    async def build(self, plan: RunPlan) -> None:
        """Build the image.

        Raises:
            UsageError: The Dockerfile does not exist.
            BuildError: The image could not be built.
        """
        container = await self.container(plan)
        try:
            await container.sync()
        except dagger.DaggerError as error:
            raise self._build_error(error, plan) from error

    async def upload(self, plan: RunPlan, reference: str) -> str:
        """Upload the image under a reference by tag and return its digest.

        Raises:
            AuthError: The registry denied push access.
            RegistryError: The upload failed.
        """
        container = self.access.signed_in(await self.container(plan), plan.image)
        try:
            address = await container.publish(reference, registry_service=self.access.service)
        except dagger.DaggerError as error:
            raise upload_error(error, plan.image, reference) from error
        digest = address.rpartition("@")[2]
        if DIGEST.fullmatch(digest) is None:
            msg = f"The engine published {reference}, but returned {quoted(address)} instead of a digest."
            raise RegistryError(msg)
        return digest

    async def _labelled(self, plan: RunPlan) -> dagger.Container:
        built = await _from_dockerfile(self.source, plan.image.name)
        try:
            from_dockerfile = {key: await built.label(key) or "" for key in FROM_DOCKERFILE}
        except dagger.DaggerError as error:
            raise self._build_error(error, plan) from error
        labels = oci_labels(
            image=plan.image,
            commit=plan.commit,
            inputs=plan.inputs,
            repository=plan.repository,
            origin=plan.origin,
            from_dockerfile=from_dockerfile,
            given=dict(self.source.recipe.labels),
        )
        for name, value in labels.items():
            built = built.with_label(name, value)
        for name, value in self.source.recipe.annotations:
            built = built.with_annotation(name, value)
        return built

    def _build_error(self, error: dagger.DaggerError, plan: RunPlan) -> PipelineError:
        return _build_error(error, self.source, plan.image.name)


async def check_build(source: Source, name: str) -> None:
    """Build an image and discard it; no ref, commit or registry is needed.

    Args:
        source: What it is built from.
        name: The image's name in error messages.

    Raises:
        UsageError: The Dockerfile does not exist.
        BuildError: The image could not be built.
    """
    container = await _from_dockerfile(source, name)
    try:
        await container.sync()
    except dagger.DaggerError as error:
        raise _build_error(error, source, name) from error


async def find_dockerfile(directory: dagger.Directory, path: str) -> str:
    """Return the name of a directory's Dockerfile if none is given.

    Args:
        directory: The source.
        path: Its path in the repository.

    Raises:
        UsageError: The directory does not exist.
        EngineError: The engine does not answer.
    """
    try:
        return default_dockerfile([name for name in DOCKERFILES if await directory.exists(name)])
    except dagger.DaggerError as error:
        if _NO_DIRECTORY.search(str(error)):
            raise missing_source(path) from error
        doing = "reading the source"
        raise no_answer(doing, error) from error


async def _from_dockerfile(source: Source, name: str) -> dagger.Container:
    recipe = source.recipe
    try:
        found = await source.directory.exists(recipe.dockerfile)
    except dagger.DaggerError as error:
        if _NO_DIRECTORY.search(str(error)):
            raise missing_source(source.path) from error
        raise _build_error(error, source, name) from error
    if not found:
        raise missing_dockerfile(recipe.dockerfile, source.path)
    built = source.directory.docker_build(
        dockerfile=recipe.dockerfile,
        platform=dagger.Platform(str(recipe.platform)),
        build_args=[dagger.BuildArg(name, value) for name, value in recipe.build_args],
        target=recipe.target,
        secrets=list(source.secrets),
    )
    try:
        check_platform(await built.platform(), recipe, name)
    except dagger.DaggerError as error:
        raise _build_error(error, source, name) from error
    return built


def check_platform(built: str, recipe: Recipe, name: str) -> None:
    """Check that an image is for the platform that it was built for.

    A Dagger engine gives an image `FROM scratch` its own platform instead, and one of a base image for another platform
    that of the base image, and says nothing.

    Args:
        built: The platform of the image.
        recipe: How it was built.
        name: The image's name in error messages.

    Raises:
        BuildError: It is for another platform.
    """
    if not parse_platform(built).matches(recipe.platform):
        msg = f"{name} from {recipe.dockerfile} was built for {built}, not for {recipe.platform}."
        hint = "Build it on an engine for that platform, or start its last stage from a base image for that platform."
        raise BuildError(msg, hint=hint)


def _build_error(error: dagger.DaggerError, source: Source, name: str) -> PipelineError:
    return build_error(error, f"{name} from {source.recipe.dockerfile}")
