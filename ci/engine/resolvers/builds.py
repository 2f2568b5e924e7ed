"""`Directory.dockerBuild`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from ci.dockerfile.base_images import automatic_arguments, base_images
from ci.dockerfile.reader import Instruction, read_instructions
from ci.dockerfile.stages import read_stages
from ci.engine.errors import ExecFailedError, QueryFailedError
from ci.engine.resolvers.platforms import read_platform, require_host
from ci.engine.session.descriptions import Description
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.secrets import SecretValue
from ci.engine.session.session import Session, Step
from ci.engine.store.buildah import COMMAND_SECONDS, DATE, essence
from ci.engine.store.buildah_dockerfiles import check_dockerfile, command_of_step, foreign_run, salted
from ci.engine.store.containers import ContainerState
from ci.engine.store.oci_images import container_of
from ci.engine.store.patterns import read_ignore_file
from ci.engine.store.registry_access import credentials_file, plain_registries
from ci.engine.store.snapshots import Snapshot
from ci.system.docker_config import read_docker_config
from ci.system.locks import shared_lock
from pipeline.rules.platforms import Platform, host_platform

_STEP = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: (.*)$")
_CACHED = "--> Using cache "
_RUN_FAILED = re.compile(r'building at STEP "RUN (.*)": (?:.*: )?exit status (\d+)', re.DOTALL)
_NOISE = re.compile(r"^(subprocess exited |Error: building at STEP |Error: while running runtime)")
_SECRET_NAME = re.compile(r"[\w.-]+")


@dataclass
class _Output:
    """Separates the output of the last command from the lines of `buildah build` itself."""

    step: Step
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    undecided: int = 0

    def take_stdout(self, line: str) -> None:
        if found := _STEP.match(line):
            self.undecided += not found[1].upper().startswith("FROM ")
            self.stdout.clear()
            self.stderr.clear()
        elif line.startswith(_CACHED):
            self.undecided -= 1
        else:
            self.stdout.append(line)
        self.step.line(line)

    def take_stderr(self, line: str) -> None:
        if not _NOISE.match(line):
            self.stderr.append(line)
            self.step.error_line(line)


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
    check_dockerfile(instructions, dockerfile)
    stages = read_stages(instructions, target)
    if (run := foreign_run(stages)) is not None:
        require_host(f"RUN (line {run.first + 1} of {dockerfile})", wanted)
    context = await _context(directory, dockerfile)
    arguments = {argument["name"]: argument["value"] for argument in build_args}
    async with session.step(f"build {dockerfile}{f' up to {target}' if target else ''}") as step:
        recipe = _Recipe(text, instructions, context, arguments, target, secrets, wanted)
        built = await container_of(session.buildah, await _build(session, step, recipe))
    if stages[-1].from_scratch:
        # buildah gives it the host's platform, or that of an equal image in its cache.
        return replace(built, platform=wanted)
    if platform is not None and not built.platform.matches(wanted):
        msg = f"failed to build: {dockerfile} starts from an image for {built.platform}, but {wanted} was requested"
        raise QueryFailedError(msg)
    return built


@dataclass(frozen=True)
class _Recipe:
    """What is built.

    Attributes:
        text: The Dockerfile.
        instructions: Its instructions.
        context: The directory that it copies from.
        arguments: Build arguments by name.
        target: The stage to stop at; the last one if empty.
        secrets: What RUN may mount.
        platform: The platform of the image.
    """

    text: str
    instructions: Sequence[Instruction]
    context: Snapshot
    arguments: dict[str, str]
    target: str
    secrets: Sequence[Description]
    platform: Platform


async def _build(session: Session, step: Step, recipe: _Recipe) -> str:
    runner = await session.runner()
    storage = session.buildah.storage
    output = _Output(step)
    registries = sorted({image.registry for image in base_images(recipe.text, build_args=recipe.arguments)})
    config = await read_docker_config(registries)
    with ExitStack() as stack:
        folder = stack.enter_context(session.folders.scratch())
        dockerfile = salted(recipe.text, recipe.arguments | automatic_arguments(recipe.platform))
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8", errors="surrogateescape")
        (folder / "ignore").touch()
        auth = stack.enter_context(credentials_file(session.folders, {}, config))
        options = [f"--build-arg={name}={value}" for name, value in recipe.arguments.items()]
        options += [f"--target={recipe.target}"] if recipe.target else []
        options += [f"--platform={recipe.platform}"]
        for description in recipe.secrets:
            secret = await session.value(description, SecretValue)
            path = stack.enter_context(session.folders.private_file(secret.plaintext))
            options.append(f"--secret=id={_secret_id(secret)},src={path}")
        async with shared_lock(storage.builds_lock):
            done = await session.buildah.call(
                "build", "--layers", "--force-rm", "--format", "docker", "--identity-label=false",
                "--timestamp", DATE, "--retry", "1", "--signature-policy", storage.policy,
                "--file", folder / "Dockerfile", "--ignorefile", folder / "ignore", "--iidfile", folder / "id",
                *runner.arguments, *options, recipe.context.path,
                time_limit=COMMAND_SECONDS,
                environment=storage.environment(auth=auth, plain=plain_registries(registries)),
                on_stdout=output.take_stdout,
                on_stderr=output.take_stderr,
            )  # fmt: skip
        if done.exit_code != 0:
            reason = done.stderr.replace(str(recipe.context.path), "the build context")
            raise _failure(session, recipe.instructions, output, done.exit_code, reason)
        step.cached = output.undecided == 0
        return (folder / "id").read_text(encoding="ascii").strip().removeprefix("sha256:")


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


def _failure(
    session: Session, found: Sequence[Instruction], output: _Output, exit_code: int, stderr: str
) -> QueryFailedError:
    reason = essence(stderr)
    failed = _RUN_FAILED.search(reason)
    if failed is None:
        return QueryFailedError(f"failed to build: {reason or f'buildah ended with exit code {exit_code}'}")
    scrub = session.secrets.scrub
    return ExecFailedError(
        [scrub(word) for word in command_of_step(found, failed[1])],
        int(failed[2]),
        stdout=scrub("\n".join(output.stdout)),
        stderr=scrub("\n".join(output.stderr)),
    )
