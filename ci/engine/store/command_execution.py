"""Running one command in a container: what it sees, what it writes, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ci.engine.errors import ExecFailedError, QueryFailedError
from ci.engine.protocol.secrets import SecretValue
from ci.engine.protocol.session import Session, Step
from ci.engine.store.buildah import essence
from ci.engine.store.container_roots import Stubs, make_folder
from ci.engine.store.containers import ContainerState, ExecResult, Mount, MountKind
from ci.engine.store.mounts import Mounted, attach
from ci.engine.store.oci_images import read_config

_LONG = 2 * 3600.0
_FULL = "no space left on device"
_ENVIRONMENT_FILE = "/run/.secret-environment"
_TRAILER = re.compile(
    r"(?:subprocess exited (?:with status \d+|on \w+)\n)*Error: (?:while running runtime: )?exit status (\d+)\s*$"
)
_NOT_STARTED = re.compile(
    r"exec: \\?\"(?P<program>[^\"\\]+)\\?\": "
    r"(?P<why>[^\"\n]*(?:not found|no such file|permission denied)[^\"\n]*?)(?=\"|process|\n|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command for a container.

    Attributes:
        args: The program and its arguments.
        stdin: What it reads.
        expect: `SUCCESS`, `FAILURE` or `ANY`.
    """

    args: tuple[str, ...]
    stdin: str = ""
    expect: str = "SUCCESS"

    def accepts(self, exit_code: int) -> bool:
        """Tell whether it may end so."""
        return self.expect == "ANY" or (exit_code == 0) == (self.expect == "SUCCESS")


class _Note(BaseModel):
    """What is kept of a command: the image after it, by its id, and what it gave."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    image: str = Field(pattern=r"\A[0-9a-f]{64}\z")
    stdout: str
    stderr: str
    combined: str
    exit_code: int

    def result(self) -> ExecResult:
        return ExecResult(self.stdout, self.stderr, self.combined, self.exit_code)


async def execute(session: Session, state: ContainerState, command: Command) -> ContainerState:
    """Run a command and return the container after it.

    What it gave before, in this session or another, is taken again when all that it can see is the same. That is not
    so where it has secrets, or directories that it may change.

    Raises:
        ExecFailedError: It ended otherwise than it had to.
        QueryFailedError: It could not be started.
    """
    note = session.workspace.shared / "execs" / f"{_key(state, command)}.json"
    keeps = not state.secret_env and all(_is_kept(mount) for mount in state.mounts)
    async with session.step(f"run {shlex.join(command.args)}") as step:
        kept = await _recall(session, state, note) if keeps else None
        if kept is not None:
            step.cached = True
            return kept
        after = await _run(session, state, command, step)
    if keeps and after.last_exec is not None:
        note.parent.mkdir(exist_ok=True)
        with session.workspace.scratch() as folder:
            draft = folder / "note"
            draft.write_text(json.dumps({"image": after.image, **asdict(after.last_exec)}), encoding="utf-8")
            draft.replace(note)
    return after


async def _recall(session: Session, state: ContainerState, note: Path) -> ContainerState | None:
    try:
        kept = _Note.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return None
    if not await session.buildah.has(kept.image):
        return None
    return replace(state, image=kept.image, image_ref="", last_exec=kept.result())


@dataclass
class _Output:
    step: Step
    combined: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        self.combined.append(f"{line}\n")
        self.step.line(line)

    def take_error(self, line: str) -> None:
        if not _TRAILER.search(line) and not line.startswith("subprocess exited "):
            self.take(line)


async def _run(session: Session, state: ContainerState, command: Command, step: Step) -> ContainerState:
    runner = await session.runner()
    buildah = session.buildah
    output = _Output(step)
    async with AsyncExitStack() as stack:
        name = await stack.enter_async_context(buildah.container(state.image))
        root = await stack.enter_async_context(buildah.root(name))
        mounts = [*state.mounts]
        args = list(command.args)
        if state.secret_env:
            mounts.append(Mount(_ENVIRONMENT_FILE, MountKind.SECRET, mode=0o444))
            args = ["/bin/sh", "-c", '. "$0"; exec "$@"', _ENVIRONMENT_FILE, *args]
        stubs = await Stubs.note(root, [mount.path for mount in mounts])
        await make_folder(root, state.config.workdir or "/")
        mounted = [
            await attach(session, stack, root, mount, content=await _environment_file(session, state))
            for mount in mounts
        ]
        done = await buildah.call(
            "run", "--terminal=false", *runner.arguments, *await options_for(session, state, name),
            *(option for each in mounted for option in each.options), name, "--", *args,
            time_limit=_LONG, environment=buildah.storage.environment(temporary=session.workspace.private),
            stdin=command.stdin.encode(),
            on_stdout=output.take, on_stderr=output.take_error,
        )  # fmt: skip
        exit_code, stderr = _outcome(done.exit_code, done.stderr)
        scrub = session.secrets.scrub
        result = ExecResult(scrub(done.stdout), scrub(stderr), scrub("".join(output.combined)), exit_code)
        if not command.accepts(exit_code):
            shown = [scrub(part) for part in command.args]
            raise ExecFailedError(shown, exit_code, stdout=result.stdout, stderr=result.stderr)
        await stubs.remove()
        changed = await _changed(session, state, mounted)
        image = await buildah.commit(name)
    return replace(state, image=image, image_ref="", mounts=changed, last_exec=result)


async def options_for(session: Session, state: ContainerState, name: str) -> list[str]:
    """Return the options by which a command gets the container's own variables, user and folder, and no others."""
    options = ["--user", state.config.user or "0", "--workingdir", state.config.workdir or "/"]
    for variable, value in state.config.env.items():
        options += ["--env", f"{variable}={value}"]
    if state.image is not None:
        given = (await read_config(session, state.image)).env
        unset = [f"{variable}-" for variable in given if variable not in state.config.env]
        if unset:
            await session.buildah.ask("config", *(part for each in unset for part in ("--env", each)), name)
    return options


async def _environment_file(session: Session, state: ContainerState) -> str:
    lines = []
    for variable, call in state.secret_env.items():
        secret = await session.value(call, SecretValue)
        lines.append(f"export {variable}={shlex.quote(secret.plaintext)}\n")
    return "".join(lines)


def _outcome(exit_code: int, stderr: str) -> tuple[int, str]:
    """Tell how a command ended from how buildah ended.

    Raises:
        QueryFailedError: It never started, and not for its own reasons.
    """
    if exit_code == 0:
        return 0, stderr
    if found := _NOT_STARTED.search(stderr):
        why = found["why"]
        return (126 if "permission" in why.lower() else 127), f'exec: "{found["program"]}": {why}\n'
    trailer = _TRAILER.search(stderr)
    if trailer is None and _FULL in stderr.lower():
        msg = f"{_FULL}: {essence(stderr)}"
        raise QueryFailedError(msg, hint="Free some, or name a cache folder with more room by XDG_CACHE_HOME.")
    if trailer is None:
        raise QueryFailedError(essence(stderr) or f"buildah run failed: exit code {exit_code}")
    return int(trailer[1]), stderr[: trailer.start()]


async def _changed(session: Session, state: ContainerState, mounted: Sequence[Mounted]) -> tuple[Mount, ...]:
    """Return the mounts with what the command made of them."""
    changed = []
    for mount, each in zip(state.mounts, mounted, strict=False):
        if each.writable is None:
            changed.append(mount)
        else:
            changed.append(replace(mount, snapshot=await session.snapshots.capture(each.writable)))
    return tuple(changed)


def _is_kept(mount: Mount) -> bool:
    match mount.kind:
        case MountKind.DIRECTORY | MountKind.FILE:
            return mount.read_only
        case MountKind.SECRET:
            return False
        case MountKind.CACHE | MountKind.TEMPORARY:
            return True


def _key(state: ContainerState, command: Command) -> str:
    seen = [
        state.image,
        dict(state.config.env),
        state.config.user,
        state.config.workdir,
        [_seen(mount) for mount in state.mounts],
        command.args,
        command.stdin,
        command.expect,
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _seen(mount: Mount) -> list[object]:
    content = mount.snapshot.digest if mount.snapshot else mount.cache
    return [mount.path, mount.kind, content, mount.read_only, mount.size]


def default_command(state: ContainerState, args: Sequence[str], *, use_entrypoint: bool) -> tuple[str, ...]:
    """Return what is run: the arguments, or the default ones where there are none, behind the entrypoint if asked.

    Raises:
        QueryFailedError: Nothing is left to run.
    """
    entrypoint = state.config.entrypoint or ()
    command = (*entrypoint, *args) if use_entrypoint and args else tuple(args)
    if not args:
        command = (*entrypoint, *(state.config.command or ()))
    if not command:
        msg = "no command has been set"
        raise QueryFailedError(msg)
    return command
