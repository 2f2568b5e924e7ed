"""The Dagger side of a run: builds the image, labels it and uploads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import dagger
from dagger import dag

from pipeline.concurrency import each
from pipeline.engine.failures import build_error, command_failed, is_expired, no_answer, upload_error
from pipeline.engine.platforms import for_platform, own_platform
from pipeline.registry.credentials import Credentials
from pipeline.rules.build_inputs import DOCKERFILES, Recipe, default_dockerfile
from pipeline.rules.errors import BuildError, PipelineError, RegistryError
from pipeline.rules.failed_step import Dockerfile
from pipeline.rules.image_name import DIGEST, ImageName
from pipeline.rules.labels import FROM_DOCKERFILE
from pipeline.rules.planning import RunPlan
from pipeline.rules.platforms import Platform
from pipeline.rules.source_path import missing_dockerfile, missing_source
from pipeline.rules.text import last_lines, quoted

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
    _images: dict[RunPlan, dict[Platform, dagger.Container]] = field(default_factory=dict)

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

    async def images(self, plan: RunPlan) -> Mapping[Platform, dagger.Container]:
        """Return the image for each platform with its labels, in the order of the plan.

        Only what is needed to read the Dockerfile's labels is built.

        Raises:
            UsageError: The Dockerfile does not exist.
            BuildError: An image could not be built.
        """
        if plan not in self._images:
            found: dict[Platform, dagger.Container] = {}

            async def build(platform: Platform) -> None:
                found[platform] = await self._labelled(plan, platform)

            await each(plan.recipe.platforms.each, build)
            self._images[plan] = {platform: found[platform] for platform in plan.recipe.platforms.each}
        return self._images[plan]

    async def container(self, plan: RunPlan) -> dagger.Container:
        """Return the image to run commands in: for the engine's own platform if it is among the plan's.

        Raises:
            UsageError: The Dockerfile does not exist.
            BuildError: The image could not be built.
        """
        images = await self.images(plan)
        if len(images) == 1:
            return next(iter(images.values()))
        try:
            own = await own_platform()
        except dagger.DaggerError as error:
            raise await self._build_error(error, plan) from error
        return images[plan.recipe.platforms.preferred(own)]

    async def build(self, plan: RunPlan) -> None:
        """Build the image for every platform.

        Raises:
            UsageError: The Dockerfile does not exist.
            BuildError: The image could not be built.
        """

        async def build(image: dagger.Container) -> None:
            try:
                await image.sync()
            except dagger.DaggerError as error:
                raise await self._build_error(error, plan) from error

        await each((await self.images(plan)).values(), build)

    async def export(self, plan: RunPlan, path: str) -> None:
        """Write the image, or the index of its images, to a file of the host as an OCI archive.

        Raises:
            BuildError: The archive could not be written.
        """
        container, variants = _with_variants(await self.images(plan))
        try:
            await container.export(path, platform_variants=variants)
        except dagger.DaggerError as error:
            msg = f"The image could not be written to {path}: {last_lines(str(error))}"
            raise BuildError(msg) from error

    async def upload(self, plan: RunPlan, reference: str) -> str:
        """Upload the image, or the index of its images, under a reference by tag and return its digest.

        Raises:
            AuthError: The registry denied push access.
            RegistryError: The upload failed.
        """
        container, variants = _with_variants(await self.images(plan))
        container = self.access.signed_in(container, plan.image)

        async def published() -> str:
            return await container.publish(reference, platform_variants=variants, registry_service=self.access.service)

        try:
            try:
                address = await published()
            except dagger.DaggerError as error:
                if self.access.credentials is None or not is_expired(error):
                    raise
                address = await published()
        except dagger.DaggerError as error:
            # Without its cause, which --debug would print: the registry may have repeated the credentials.
            raise upload_error(error, plan.image, reference, self.access.credentials) from None
        digest = address.rpartition("@")[2]
        if DIGEST.fullmatch(digest) is None:
            msg = f"The engine published {reference}, but returned {quoted(address)} instead of a digest."
            raise RegistryError(msg)
        return digest

    async def _labelled(self, plan: RunPlan, platform: Platform) -> dagger.Container:
        built = await _from_dockerfile(self.source, platform, plan.image.name)
        try:
            from_dockerfile = {key: await built.label(key) or "" for key in FROM_DOCKERFILE}
        except dagger.DaggerError as error:
            raise await self._build_error(error, plan) from error
        for name, value in plan.labels(from_dockerfile).items():
            built = built.with_label(name, value)
        for name, value in self.source.recipe.annotations:
            built = built.with_annotation(name, value)
        return built

    async def _build_error(self, error: dagger.DaggerError, plan: RunPlan) -> PipelineError:
        return await _build_error(error, self.source, plan.image.name)


def _with_variants(
    images: Mapping[Platform, dagger.Container],
) -> tuple[dagger.Container, list[dagger.Container] | None]:
    """Return what is published or exported, and its platform variants: an index is made of an empty container."""
    if len(images) == 1:
        return next(iter(images.values())), None
    return dag.container(), list(images.values())


async def check_build(source: Source, name: str) -> None:
    """Build an image for every platform and discard it; no ref, commit or registry is needed.

    Args:
        source: What it is built from.
        name: The image's name in error messages.

    Raises:
        UsageError: The Dockerfile does not exist.
        BuildError: The image could not be built.
    """

    async def build(platform: Platform) -> None:
        container = await _from_dockerfile(source, platform, name)
        try:
            await container.sync()
        except dagger.DaggerError as error:
            raise await _build_error(error, source, name) from error

    await each(source.recipe.platforms.each, build)


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


async def _from_dockerfile(source: Source, platform: Platform, name: str) -> dagger.Container:
    recipe = source.recipe
    try:
        found = await source.directory.exists(recipe.dockerfile)
    except dagger.DaggerError as error:
        if _NO_DIRECTORY.search(str(error)):
            raise missing_source(source.path) from error
        raise await _build_error(error, source, name) from error
    if not found:
        raise missing_dockerfile(recipe.dockerfile, source.path)
    built = source.directory.docker_build(
        dockerfile=recipe.dockerfile,
        platform=dagger.Platform(str(platform)),
        build_args=[dagger.BuildArg(name, value) for name, value in recipe.build_args],
        target=recipe.target,
        secrets=list(source.secrets),
    )
    try:
        return await for_platform(built, platform, source.directory.file(recipe.dockerfile), recipe, name)
    except dagger.DaggerError as error:
        raise await _build_error(error, source, name) from error


async def _build_error(error: dagger.DaggerError, source: Source, name: str) -> PipelineError:
    dockerfile = Dockerfile(source.recipe.dockerfile)
    if command_failed(error):
        with suppress(dagger.DaggerError):  # without its text, the error has fewer lines
            dockerfile = replace(dockerfile, text=await source.directory.file(dockerfile.path).contents())
    return build_error(error, name, dockerfile)
