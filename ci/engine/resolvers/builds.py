"""`Directory.dockerBuild`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ci.dockerfile.base_images import automatic_arguments, base_images
from ci.dockerfile.variables import Scope, read_scopes
from ci.engine.errors import ExecFailedError, QueryFailedError
from ci.engine.resolvers.platforms import read_platform, require_runnable
from ci.engine.session.descriptions import Description
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.secrets import SecretValue
from ci.engine.session.session import Session, Step
from ci.engine.store.buildah import COMMAND_SECONDS, DATE, PullPolicy, essence
from ci.engine.store.buildah_dockerfiles import command_of_step, foreign_run, line_of_step, salted
from ci.engine.store.containers import ContainerState
from ci.engine.store.dockerfile_limits import check_dockerfile
from ci.engine.store.dockerfile_rewriting import GENERATED, Rewritten, needs_environment, rewritten
from ci.engine.store.oci_images import container_of
from ci.engine.store.patterns import read_ignore_file
from ci.engine.store.registry_access import by_digest, credentials_file, image_reference, plain_registries, pull_failure
from ci.engine.store.snapshots import Snapshot
from ci.system.docker_config import read_docker_config
from ci.system.locks import shared_lock
from pipeline.rules.dockerfile import Instruction, read_instructions
from pipeline.rules.platforms import Platform, host_platform
from pipeline.rules.stages import Stage, read_stages, through_stages

_STEP = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: (.*)$")
_CACHED = "--> Using cache "
_RUN_FAILED = re.compile(r'building at STEP "RUN (.*)": (?:.*: )?exit status (\d+)', re.DOTALL)
_NOISE = re.compile(r"^(subprocess exited |Error: building at STEP |Error: while running runtime)")
# buildah says so of the arguments that every build for a platform has, which nobody gave.
_UNUSED = re.compile(r"\[Warning\] one or more build args were not consumed: \[TARGET[A-Z ]+\]")
_NO_IMAGE = re.compile(r"from=([^\s,]+): no stage or image found with that name")
_END = Instruction("RUN", "", first=0, last=0)
"""Stands behind the last instruction, for the scope there."""
_SECRET_NAME = re.compile(r"[\w.-]+")


@dataclass
class _Output:
    """Separates the output of the last command from the lines of `buildah build` itself."""

    step: Step
    rewritten: Rewritten
    lines: list[tuple[Literal["stdout", "stderr"], str]] = field(default_factory=list)
    undecided: int = 0

    def take_stdout(self, line: str) -> None:
        if _UNUSED.fullmatch(line):
            return
        if found := _STEP.match(line):
            self.undecided += not found[1].upper().startswith("FROM ")
            self.lines.clear()
        elif line.startswith(_CACHED):
            self.undecided -= 1
        else:
            self.lines.append(("stdout", line))
        self.step.line(self.rewritten.original(line))

    def take_stderr(self, line: str) -> None:
        if not _NOISE.match(line):
            self.lines.append(("stderr", line))
            self.step.error_line(line)

    def of(self, *streams: Literal["stdout", "stderr"]) -> str:
        return "\n".join(line for stream, line in self.lines if stream in streams)


@RESOLVERS.field("Directory.dockerBuild")
async def docker_build(
    session: Session,
    directory: Snapshot,
    *,
    dockerfile: str,
    platform: str | None = None,
    build_args: Sequence[Mapping[str, str]],
    target: str,
    secrets: Sequence[Description],
) -> ContainerState:
    wanted = host_platform() if platform is None else read_platform(platform)
    text = await _read_dockerfile(directory, dockerfile)
    instructions = read_instructions(text)
    stages = read_stages(instructions, target)
    check_dockerfile(text, through_stages(instructions, stages), dockerfile)
    if (run := foreign_run(stages)) is not None:
        require_runnable(f"RUN (line {run.first + 1} of {dockerfile})", wanted)
    context = await _context(directory, dockerfile)
    arguments = {argument["name"]: argument["value"] for argument in build_args}
    async with session.step(f"build {dockerfile}{f' up to {target}' if target else ''}") as step:
        recipe = _Recipe(dockerfile, text, instructions, stages, context, arguments, target, secrets, wanted)
        built = await _build(session, step, recipe)
    if platform is not None and not stages[-1].from_scratch and not built.platform.matches(wanted):
        msg = f"failed to build: {dockerfile} starts from an image for {built.platform}, but {wanted} was requested"
        raise QueryFailedError(msg)
    return built


@dataclass(frozen=True)
class _Recipe:
    """What is built.

    Attributes:
        path: The path of the Dockerfile, for messages.
        text: The Dockerfile.
        instructions: Its instructions.
        stages: Its stages up to the target.
        context: The directory that it copies from.
        arguments: Build arguments by name.
        target: The stage to stop at; the last one if empty.
        secrets: What RUN may mount.
        platform: The platform of the image.
    """

    path: str
    text: str
    instructions: Sequence[Instruction]
    stages: Sequence[Stage]
    context: Snapshot
    arguments: dict[str, str]
    target: str
    secrets: Sequence[Description]
    platform: Platform


async def _build(session: Session, step: Step, recipe: _Recipe) -> ContainerState:
    runner = await session.runner()
    storage = session.buildah.storage
    registries = sorted({image.registry for image in base_images(recipe.text, build_args=recipe.arguments)})
    config = await read_docker_config(registries)
    with ExitStack() as stack:
        folder = stack.enter_context(session.folders.scratch())
        auth = stack.enter_context(credentials_file(session.folders, {}, config))
        environment = storage.environment(auth=auth, plain=plain_registries(registries))
        dockerfile = rewritten(recipe.text, await _scopes(session, recipe, environment), recipe.path)
        options = _write_inputs(folder, dockerfile, recipe)
        for description in recipe.secrets:
            secret = await session.value(description, SecretValue)
            path = stack.enter_context(session.folders.private_file(secret.plaintext))
            options.append(f"--secret=id={_secret_id(secret)},src={path}")
        output = _Output(step, dockerfile)
        async with shared_lock(storage.builds_lock):
            done = await session.buildah.call(
                "build", "--layers", "--force-rm", "--format", "docker", "--identity-label=false",
                "--timestamp", DATE, "--retry", "1", "--signature-policy", storage.policy,
                "--file", folder / "Dockerfile", "--ignorefile", folder / "ignore", "--iidfile", folder / "id",
                *runner.arguments, *options, recipe.context.path,
                time_limit=COMMAND_SECONDS,
                environment=environment,
                on_stdout=output.take_stdout,
                on_stderr=output.take_stderr,
            )  # fmt: skip
        if done.exit_code != 0:
            reason = essence(done.stderr.replace(str(recipe.context.path), "the build context"))
            if failed := _RUN_FAILED.search(reason):
                raise _command_failure(session, recipe.instructions, output, failed)
            reason = dockerfile.original(await _explained(session, recipe, reason, environment))
            line = line_of_step(recipe.instructions, reason)
            where = "" if line is None else f" (line {line} of {recipe.path})"
            msg = f"failed to build: {reason or f'buildah ended with exit code {done.exit_code}'}{where}"
            raise QueryFailedError(msg)
        step.cached = output.undecided == 0
        image = (folder / "id").read_text(encoding="ascii").strip().removeprefix("sha256:")
        platform = await _base_platform(session, recipe, environment)
        return replace(await container_of(session.buildah, image), platform=platform)


def _write_inputs(folder: Path, dockerfile: Rewritten, recipe: _Recipe) -> list[str]:
    """Write the files that buildah reads, and return the options about them and about what is built."""
    text = salted(dockerfile.text, recipe.arguments | automatic_arguments(recipe.platform))
    (folder / "Dockerfile").write_text(text, encoding="utf-8", errors="surrogateescape")
    (folder / "ignore").touch()
    options = [f"--build-arg={name}={value}" for name, value in recipe.arguments.items()]
    options += [f"--target={recipe.target}"] if recipe.target else []
    if dockerfile.files:
        dockerfile.write_files(folder / "heredocs")
        options.append(f"--build-context={GENERATED}={folder / 'heredocs'}")
    return [*options, f"--platform={recipe.platform}"]


async def _scopes(session: Session, recipe: _Recipe, environment: Mapping[str, str]) -> list[Scope]:
    """Return the scope of each instruction; a base image is pulled if a here-document may depend on its environment."""

    def scopes(environments: Mapping[tuple[str, str], Mapping[str, str]]) -> list[Scope]:
        automatic = automatic_arguments(recipe.platform)
        return read_scopes(recipe.instructions, recipe.arguments, automatic, environments)

    built = through_stages(recipe.instructions, recipe.stages)
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    for each, scope in zip(built, scopes({}), strict=False):
        if needs_environment(each) and scope.base is not None and scope.base not in found:
            base = await _base_image(session, recipe, scope.base, environment, policy="always")
            found[scope.base] = base.config.env
    return scopes(found)


async def _base_platform(session: Session, recipe: _Recipe, environment: Mapping[str, str]) -> Platform:
    """Return the platform of an image that was built, which is that of its base image.

    buildah states the platform that was requested, or that of an equal image in its cache.
    """
    if recipe.stages[-1].from_scratch:
        return host_platform()  # as a Dagger engine does it
    built = through_stages(recipe.instructions, recipe.stages)
    base = read_scopes([*built, _END], recipe.arguments, automatic_arguments(recipe.platform), {})[-1].base
    if base is None:
        return recipe.platform
    return (await _base_image(session, recipe, base, environment, policy="missing")).platform


async def _base_image(
    session: Session, recipe: _Recipe, base: tuple[str, str], environment: Mapping[str, str], *, policy: PullPolicy
) -> ContainerState:
    """Return a new container of a base image, which has a name and the value of `--platform`."""
    name, platform = base
    wanted = read_platform(platform) if platform else recipe.platform
    try:
        image = await session.buildah.pull(by_digest(image_reference(name)), wanted, environment, policy=policy)
    except QueryFailedError as e:
        reason = pull_failure(e.message) or e.message
        msg = f"failed to build: {reason}"
        raise QueryFailedError(msg) from e
    return await container_of(session.buildah, image)


async def _explained(session: Session, recipe: _Recipe, reason: str, environment: Mapping[str, str]) -> str:
    """Return the reason of a failed build, with what is wrong with an image that could not be pulled.

    buildah states of the image of `--from` and `RUN --mount` only that it has none; so it is pulled once more.
    """
    if (missing := _NO_IMAGE.search(reason)) is None:
        return pull_failure(reason) or reason
    image = image_reference(missing[1])
    try:
        await session.buildah.pull(by_digest(image), recipe.platform, environment)
    except QueryFailedError as e:
        lines = [each.first + 1 for each in recipe.instructions if f"from={missing[1]}" in each.rest]
        where = f" (line {lines[0]} of {recipe.path})" if lines else ""
        return f"from={missing[1]}{where}: {pull_failure(e.message) or e.message}, and no earlier stage has this name"
    return f"the image {image} could not be pulled at first; run the build again"


async def _read_dockerfile(directory: Snapshot, path: str) -> str:
    if not await directory.is_file(path):
        msg = f"failed to read dockerfile: open {path}: no such file or directory"
        raise QueryFailedError(msg)
    return (await directory.read_file(path)).decode("utf-8", errors="surrogateescape").lstrip("\ufeff")


async def _context(directory: Snapshot, dockerfile: str) -> Snapshot:
    """Leave out ignored files: by the ignore file next to the Dockerfile if it exists, else by `.dockerignore`."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        if await directory.is_file(name):
            patterns = read_ignore_file((await directory.read_file(name)).decode("utf-8", errors="replace"))
            return await directory.filter(exclude=patterns) if patterns else directory
    return directory


def _secret_id(secret: SecretValue) -> str:
    if not _SECRET_NAME.fullmatch(secret.name):
        msg = f"invalid build secret name {secret.name!r}: a Dockerfile cannot refer to it; create it with setSecret"
        raise QueryFailedError(msg)
    return secret.name


def _command_failure(
    session: Session, found: Sequence[Instruction], output: _Output, failed: re.Match[str]
) -> ExecFailedError:
    scrub = session.secrets.scrub
    return ExecFailedError(
        [scrub(word) for word in command_of_step(found, failed[1])],
        int(failed[2]),
        stdout=scrub(output.of("stdout")),
        stderr=scrub(output.of("stderr")),
        output=scrub(output.of("stdout", "stderr")),
    )
