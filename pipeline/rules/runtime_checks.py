"""What a published image must do when it runs, and what it did.

An image's own configuration states what it must do: its HEALTHCHECK, the ports that it exposes, its command. Options
overrule it. HEALTHCHECK is Docker's extension of the OCI image specification:
https://docs.docker.com/reference/dockerfile/#healthcheck

Pure.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.rules.errors import UsageError, VerificationError
from pipeline.rules.image_name import HIGHEST_PORT, check_port
from pipeline.rules.text import quoted

UP_SECONDS = 5
"""How long a command must run if the image says nothing else."""

_SERVER_SECONDS = 30
_SHELL = ("/bin/sh", "-c")
_NANOSECONDS = 1_000_000_000
_LONGEST_START, _LONGEST_INTERVAL, _LONGEST_CHECK, _MOST_RETRIES = 300, 30, 60, 10
_LONGEST_PAUSE = 5


@dataclass(frozen=True, slots=True)
class RuntimeChecks:
    """What a caller requires of an image; what is None is read from the image.

    Attributes:
        command: A command that must succeed in it.
        path: The path that its server must answer with 2xx or 3xx.
        port: The port that its server must listen on, which it also gets as the variable `PORT`.

    Raises:
        UsageError: The command, the path or the port is not valid.
    """

    command: tuple[str, ...] | None = None
    path: str | None = None
    port: int | None = None

    def __post_init__(self) -> None:
        if self.command is not None and not self.command:
            msg = "The command to verify the image with is empty."
            raise UsageError(msg, hint="Give one that succeeds in the image, such as 'app --version' or true.")
        if self.path is not None and not self.path.startswith("/"):
            msg = f"Invalid path {quoted(self.path)}: it must begin with a slash."
            raise UsageError(msg)
        if self.port is not None:
            check_port(self.port)


class _Health(BaseModel):
    model_config = ConfigDict(frozen=True)

    test: tuple[str, ...] | None = Field(None, alias="Test")
    interval: int = Field(0, alias="Interval")
    timeout: int = Field(0, alias="Timeout")
    start_period: int = Field(0, alias="StartPeriod")
    retries: int = Field(0, alias="Retries")


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True)

    entrypoint: tuple[str, ...] | None = Field(None, alias="Entrypoint")
    command: tuple[str, ...] | None = Field(None, alias="Cmd")
    ports: dict[str, object] | None = Field(None, alias="ExposedPorts")
    health: _Health | None = Field(None, alias="Healthcheck")
    shell: tuple[str, ...] | None = Field(None, alias="Shell")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """An image's HEALTHCHECK, with Docker's defaults filled in and within bounds.

    Attributes:
        command: The program and its arguments.
        grace: Seconds before a failure counts: the start period, and the first interval.
        pause: Seconds between counted checks.
        limit: Seconds that one check may take.
        retries: How many counted failures in a row mean that the image is unhealthy.
    """

    command: tuple[str, ...]
    grace: int
    pause: int
    limit: int
    retries: int


@dataclass(frozen=True, slots=True)
class ImageRuntime:
    """How an image runs, by its configuration.

    Attributes:
        command: Its entrypoint and command.
        ports: The TCP ports that it exposes, in ascending order.
        health: Its HEALTHCHECK.
    """

    command: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    health: HealthCheck | None = None


def image_runtime(config: object) -> ImageRuntime:
    """Read the member `config` of an image's configuration.

    Raises:
        ValueError: It is not valid.
    """
    try:
        found = _Config.model_validate(config or {})
    except ValidationError as error:
        msg = "not a valid image configuration"
        raise ValueError(msg) from error
    ports = (port.partition("/") for port in found.ports or {})
    return ImageRuntime(
        command=(*(found.entrypoint or ()), *(found.command or ())),
        ports=tuple(sorted({int(port) for port, _, kind in ports if kind in {"", "tcp"} and _is_port(port)})),
        health=_health_check(found),
    )


def _is_port(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= HIGHEST_PORT


def _health_check(config: _Config) -> HealthCheck | None:
    health = config.health or _Health()
    match health.test:
        case ("CMD", *words) if words:
            command = tuple(words)
        case ("CMD-SHELL", text):
            command = (*(config.shell or _SHELL), text)
        case _:
            return None
    interval = _seconds(health.interval, 30, _LONGEST_INTERVAL)
    return HealthCheck(
        command=command,
        grace=_seconds(health.start_period, 0, _LONGEST_START) + interval,
        pause=min(interval, _LONGEST_PAUSE),
        limit=_seconds(health.timeout, 30, _LONGEST_CHECK),
        retries=min(health.retries if health.retries > 0 else 3, _MOST_RETRIES),
    )


def _seconds(nanoseconds: int, default: int, most: int) -> int:
    """Return a duration in whole seconds; zero stands for the default, as in Docker."""
    return default if nanoseconds <= 0 else max(1, min(nanoseconds // _NANOSECONDS, most))


class CheckKind(StrEnum):
    """What is checked of a running image."""

    HEALTH = "health"
    HTTP = "http"
    PORT = "port"
    UP = "up"


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """What is checked while an image's command runs.

    Attributes:
        kind: What is checked.
        what: How results refer to it.
        command: The image's command.
        required: Whether the caller requires it, and not the image's configuration.
        ports: The ports of which one must accept connections.
        path: The path that must be answered; empty if none.
        health: The HEALTHCHECK, or times for another check.
        port_variable: The value of `PORT`; empty to leave it as it is.
    """

    kind: CheckKind
    what: str
    command: tuple[str, ...]
    required: bool = False
    ports: tuple[int, ...] = ()
    path: str = ""
    health: HealthCheck = HealthCheck((), _SERVER_SECONDS, 0, 0, 1)
    port_variable: str = ""

    def arguments(self) -> list[str]:
        """Return the arguments of the probe, `pipeline/engine/probe.sh`."""
        times = (self.health.grace, self.health.pause, self.health.limit, self.health.retries)
        ports = " ".join(map(str, self.ports))
        health = shlex.join(self.health.command)
        return [self.kind, *map(str, times), self.port_variable, ports, self.path, health, *self.command]


def server_check(checks: RuntimeChecks, image: ImageRuntime) -> ServerCheck | None:
    """Return what must be checked while the image's command runs, or None if only a command is to succeed.

    Raises:
        UsageError: A path is requested, but no port is known.
        VerificationError: The image has no command.
    """
    required = checks.path is not None or checks.port is not None
    if checks.command is not None and not required:
        return None
    if not image.command:
        msg = "The image has neither ENTRYPOINT nor CMD, so it cannot be started."
        raise VerificationError(msg, hint="Give --command, a command that must succeed in it.")
    if required:
        ports = image.ports if checks.port is None else (checks.port,)
        if not ports:
            msg = f"The image exposes no port to request {checks.path} from."
            raise UsageError(msg, hint="Give --port, or add EXPOSE to the Dockerfile.")
        return ServerCheck(
            CheckKind.PORT if checks.path is None else CheckKind.HTTP,
            checks.path or _named(ports),
            image.command,
            required=True,
            ports=ports,
            path=checks.path or "",
            port_variable="" if checks.port is None else str(checks.port),
        )
    if image.health is not None:
        return ServerCheck(CheckKind.HEALTH, "HEALTHCHECK", image.command, ports=image.ports, health=image.health)
    if image.ports:
        return ServerCheck(CheckKind.PORT, _named(image.ports), image.command, ports=image.ports)
    return start_check(image.command)


def start_check(command: tuple[str, ...]) -> ServerCheck:
    """Return the check that a command runs for some seconds, or ends with 0."""
    return ServerCheck(CheckKind.UP, "start", command, health=HealthCheck((), UP_SECONDS, 0, 0, 1))


def _named(ports: tuple[int, ...]) -> str:
    return f"port {' or '.join(map(str, ports))}"


class CheckResult(BaseModel):
    """A check that an image passed."""

    model_config = ConfigDict(frozen=True)

    check: str = Field(description="The command, path or port, HEALTHCHECK, or start.")
    result: str = Field(description="The command's output, the HTTP status, or what was seen.")
    platform: str | None = Field(default=None, description="Which image of an index.")

    def __str__(self) -> str:
        return f"{'' if self.platform is None else f'{self.platform}: '}{self.check}: {self.result}"


class VerifiedImage(BaseModel):
    """An image that passed its checks."""

    model_config = ConfigDict(frozen=True)

    reference: str = Field(description="The image by digest.")
    checks: tuple[CheckResult, ...] = Field(description="What it passed, in order.")
    not_run: tuple[str, ...] = Field(default=(), description="Platforms of an index that the engine cannot run.")

    def summary(self) -> str:
        """Return the image, a line for each check, and a line for each platform that was not run."""
        not_run = [f"{platform}: not run, as the engine has no emulator for it" for platform in self.not_run]
        return "\n".join([self.reference, *map(str, self.checks), *not_run])


def parse_command(text: str) -> tuple[str, ...]:
    """Split a command line into words, as a POSIX shell does.

    Raises:
        UsageError: A quotation is not closed.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        msg = f"Invalid command {quoted(text)}: {error}."
        raise UsageError(msg, hint="Quote it as for a shell.") from error
