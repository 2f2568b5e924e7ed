"""`Directory.dockerBuild`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from ci.engine.errors import ExecFailedError, QueryFailedError
from ci.engine.protocol.descriptions import Call
from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.secrets import SecretValue
from ci.engine.protocol.session import Session, Step
from ci.engine.resolvers.queries import check_platform
from ci.engine.store.buildah import DATE, essence
from ci.engine.store.containers import ContainerState
from ci.engine.store.dockerfiles import Instruction, base_images, check_dockerfile, instructions, run_command, salted
from ci.engine.store.oci_images import read_config
from ci.engine.store.patterns import read_ignore_file
from ci.engine.store.registry_access import ImageName, caller_config, credentials, plain_registries
from ci.engine.store.snapshots import Snapshot
from ci.system.locks import shared_lock

_LONG = 2 * 3600.0
_STEP = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: (.*)$")
_CACHED = "--> Using cache "
_RUN_FAILED = re.compile(r'building at STEP "RUN (.*)": (?:.*: )?exit status (\d+)', re.DOTALL)
_NOISE = re.compile(r"^(subprocess exited |Error: building at STEP |Error: while running runtime)")
_SECRET_NAME = re.compile(r"[\w.-]+")


@dataclass
class _Output:
    """Sorts what `buildah build` writes into its own lines and those of the last command."""

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
            self.step.line(line)


@OPERATIONS.serves("Directory.dockerBuild")
async def docker_build(
    session: Session,
    directory: Snapshot,
    *,
    dockerfile: str,
    platform: str | None = None,
    build_args: Sequence[Mapping[str, str]],
    target: str,
    secrets: Sequence[Call],
) -> ContainerState:
    """The container that a Dockerfile describes."""
    check_platform("Directory.dockerBuild", platform)
    text = await _read_dockerfile(directory, dockerfile)
    found = instructions(text)
    check_dockerfile(found, dockerfile)
    context = await _context(directory, dockerfile)
    arguments = {argument["name"]: argument["value"] for argument in build_args}
    async with session.step(f"build {dockerfile}{f' up to {target}' if target else ''}") as step:
        image = await _build(session, step, _Recipe(text, context, arguments, target, secrets), found)
        return ContainerState(image=image, config=await read_config(session, image))


@dataclass(frozen=True)
class _Recipe:
    """What is built.

    Attributes:
        text: The Dockerfile.
        context: The folder that it copies from.
        arguments: Build arguments by name.
        target: The stage to stop at; the last one when empty.
        secrets: What RUN may mount.
    """

    text: str
    context: Snapshot
    arguments: Mapping[str, str]
    target: str
    secrets: Sequence[Call]


async def _build(session: Session, step: Step, recipe: _Recipe, found: list[Instruction]) -> str:
    runner = await session.runner()
    storage = session.buildah.storage
    output = _Output(step)
    with ExitStack() as stack:
        folder = stack.enter_context(session.workspace.scratch())
        dockerfile = salted(recipe.text, recipe.arguments)
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8", errors="surrogateescape")
        (folder / "ignore").touch()
        auth = stack.enter_context(credentials(session, {}, await caller_config(_hosts(found))))
        options = [f"--build-arg={name}={value}" for name, value in recipe.arguments.items()]
        options += [f"--target={recipe.target}"] if recipe.target else []
        for call in recipe.secrets:
            secret = await session.value(call, SecretValue)
            path = stack.enter_context(session.workspace.private_file(secret.plaintext))
            options.append(f"--secret=id={_secret_id(secret)},src={path}")
        async with shared_lock(storage.builds_lock):
            done = await session.buildah.call(
                "build", "--layers", "--force-rm", "--format", "docker", "--identity-label=false",
                "--timestamp", DATE, "--retry", "1", "--signature-policy", storage.policy,
                "--file", folder / "Dockerfile", "--ignorefile", folder / "ignore", "--iidfile", folder / "id",
                *runner.arguments, *options, recipe.context.path,
                time_limit=_LONG,
                environment=storage.environment(auth=auth, plain=plain_registries(recipe.text)),
                on_stdout=output.take_stdout,
                on_stderr=output.take_stderr,
            )  # fmt: skip
        if done.exit_code != 0:
            said = done.stderr.replace(str(recipe.context.path), "the build context")
            raise _failure(session, found, output, done.exit_code, said)
        step.cached = output.undecided == 0
        return (folder / "id").read_text(encoding="ascii").strip().removeprefix("sha256:")


async def _read_dockerfile(directory: Snapshot, path: str) -> str:
    if not await directory.exists(path, kind="REGULAR"):
        msg = f"failed to read dockerfile: open {path}: no such file or directory"
        raise QueryFailedError(msg)
    return (await directory.read_file(path)).decode("utf-8", errors="surrogateescape").lstrip("\ufeff")


async def _context(directory: Snapshot, dockerfile: str) -> Snapshot:
    """Leave out what is ignored: by the file beside the Dockerfile if there is one, else by the common one."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        if await directory.exists(name, kind="REGULAR"):
            patterns = read_ignore_file((await directory.read_file(name)).decode("utf-8", errors="replace"))
            return await directory.filter(exclude=patterns) if patterns else directory
    return directory


def _hosts(found: list[Instruction]) -> list[str]:
    hosts: list[str] = []
    for name in base_images(found):
        with suppress(QueryFailedError):
            hosts.append(ImageName.parse(name).host)
    return sorted(set(hosts))


def _secret_id(secret: SecretValue) -> str:
    if secret.uri or not _SECRET_NAME.fullmatch(secret.name):
        msg = f"the build secret {secret.name!r} has no name that a Dockerfile could use: name it with setSecret"
        raise QueryFailedError(msg)
    return secret.name


def _failure(
    session: Session, found: list[Instruction], output: _Output, exit_code: int, stderr: str
) -> QueryFailedError:
    reason = essence(stderr)
    failed = _RUN_FAILED.search(reason)
    if failed is None:
        return QueryFailedError(f"failed to build: {reason or f'buildah ended with exit code {exit_code}'}")
    scrub = session.secrets.scrub
    return ExecFailedError(
        [scrub(word) for word in run_command(found, failed[1])],
        int(failed[2]),
        stdout=scrub("\n".join(output.stdout)),
        stderr=scrub("\n".join(output.stderr)),
    )
