"""The platform of an image that was built: the one that was requested, or there is no image.

A Dagger engine v0.21 gives an image whose last stage is `FROM scratch` its own platform, and says nothing. It makes
that image of an empty container, a file system and a configuration; here the same is done for the right platform.
"""

from __future__ import annotations

import dagger
from dagger import dag

from pipeline.rules.build_inputs import Recipe
from pipeline.rules.dockerfile import Instruction, read_instructions
from pipeline.rules.errors import BuildError
from pipeline.rules.platforms import Platform, parse_platform
from pipeline.rules.stages import lineage, read_stages

_NOT_READABLE = frozenset({"ONBUILD", "SHELL", "STOPSIGNAL", "VOLUME"})
"""The instructions whose effect on the configuration Dagger's API does not tell."""


async def own_platform() -> Platform:
    """Return the platform of the engine."""
    return parse_platform(await dag.default_platform())


async def for_platform(
    built: dagger.Container, wanted: Platform, dockerfile: dagger.File, recipe: Recipe, name: str
) -> dagger.Container:
    """Return the image for the platform that it was built for.

    Args:
        built: The image as the engine built it.
        wanted: The platform that was requested.
        dockerfile: The Dockerfile.
        recipe: How it was built.
        name: The image's name in error messages.

    Raises:
        BuildError: It is for another platform.
    """
    found = parse_platform(await built.platform())
    if found.matches(wanted):
        return built
    stages = read_stages(read_instructions(await dockerfile.contents()), recipe.target)
    if not (stages and stages[-1].from_scratch and found.matches(await own_platform())):
        raise wrong_platform(found, wanted, recipe, name)
    instructions = [each for stage in lineage(stages) for each in stage.instructions]
    _check_readable(instructions, wanted, recipe)
    return await _moved(built, wanted, health=any(_sets_health(each) for each in instructions))


def wrong_platform(found: Platform, wanted: Platform, recipe: Recipe, name: str) -> BuildError:
    """Return the error for an image that is not for the platform that it was built for."""
    msg = f"{name} from {recipe.dockerfile} was built for {found}, not for {wanted}."
    hint = "Build it on an engine for that platform, or start its last stage from a base image for that platform."
    return BuildError(msg, hint=hint)


def _check_readable(instructions: list[Instruction], wanted: Platform, recipe: Recipe) -> None:
    for each in instructions:
        if each.keyword in _NOT_READABLE:
            where = f"line {each.first + 1} of {recipe.dockerfile}"
            msg = f"{each.keyword} ({where}) cannot be kept in an image FROM scratch for {wanted} on this engine."
            raise BuildError(msg, hint=f"Remove it, or build on an engine for {wanted}.")


def _sets_health(instruction: Instruction) -> bool:
    return instruction.keyword == "HEALTHCHECK" and instruction.rest.strip().upper() != "NONE"


async def _moved(built: dagger.Container, wanted: Platform, *, health: bool) -> dagger.Container:
    """Return an image with the same file system and configuration for another platform."""
    image = dag.container(platform=dagger.Platform(str(wanted))).with_rootfs(built.rootfs())
    for variable in await built.env_variables():
        image = image.with_env_variable(await variable.name(), await variable.value())
    for label in await built.labels():
        image = image.with_label(await label.name(), await label.value())
    for port in await built.exposed_ports():
        image = image.with_exposed_port(await port.port(), protocol=await port.protocol())
    if user := await built.user():
        image = image.with_user(user)
    if (workdir := await built.workdir()) not in {"", "/"}:
        image = image.with_workdir(workdir)
    if entrypoint := await built.entrypoint():
        image = image.with_entrypoint(entrypoint, keep_default_args=True)
    if arguments := await built.default_args():
        image = image.with_default_args(arguments)
    if not health:
        return image
    check = built.docker_healthcheck()
    return image.with_docker_healthcheck(
        await check.args(),
        shell=await check.shell(),
        interval=await check.interval(),
        timeout=await check.timeout(),
        start_period=await check.start_period(),
        start_interval=await check.start_interval(),
        retries=await check.retries(),
    )
