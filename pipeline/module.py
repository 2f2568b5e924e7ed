"""The functions that `dagger call` shows. Thin: what they do is in `pipeline.run`, and the rules are below that.

Annotations stay unquoted here (no `from __future__ import annotations`): the SDK reads them when the module loads.
"""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Annotated, Literal, ParamSpec, TypeVar

import dagger
from dagger import DefaultPath, Doc, Ignore, check, dag, enum_type, field, function, object_type

# Private, but the one class whose message the SDK shows without a traceback (facts, "Errors"); a test holds it.
from dagger.mod._exceptions import FunctionError
from pydantic import SecretStr

from pipeline.engine.builder import (
    NOT_SOURCE,
    DaggerBuilder,
    EngineAccess,
    Login,
    Source,
    check_build,
    content_digest,
    default_platform,
)
from pipeline.engine.repository import read_checkout
from pipeline.engine.verification import verify_image
from pipeline.progress import PlainProgress
from pipeline.publishing import Target
from pipeline.registry.credentials import Credentials
from pipeline.rules.errors import EngineError, PipelineError, UsageError
from pipeline.rules.job_summary import render_summary
from pipeline.rules.planning import DEFAULT_NAME, DEFAULT_REGISTRY, RunPlan, RunRequest, plan_run
from pipeline.rules.report import BuildReport
from pipeline.rules.runtime_checks import Expectation
from pipeline.rules.tagging import LatestPolicy
from pipeline.rules.text import one_line
from pipeline.run import RegistryAccess, find_digest, run_publish, settled_plan

P = ParamSpec("P")
R = TypeVar("R")

# Only the checkout's configuration, which names its origin; a worktree passes too, where .git is a file.
_ONLY_GIT_CONFIG = ["*", "!.git", ".git/*", "!.git/config"]

Ref = Annotated[
    str | None,
    Doc("Full git ref to publish for, such as refs/heads/master or refs/tags/v1.2.3; what is checked out by default"),
]
Sha = Annotated[str | None, Doc("Full commit, 40 hex digits; what is checked out by default")]
Username = Annotated[str | None, Doc("User at the registry; the owner by default, GHCR takes any with a token")]
Token = Annotated[
    dagger.Secret | None,
    Doc("Password or token for the registry, such as env:GITHUB_TOKEN; GHCR wants one with write:packages"),
]
Latest = Annotated[
    LatestPolicy,
    Doc("When a release also becomes latest: auto (no higher release is published), always or never"),
]
AllowDirty = Annotated[
    bool,
    Doc("Publish a working tree that no commit holds, under its own sha-…-dirty-… tag alone"),
]
RegistryService = Annotated[
    dagger.Service | None,
    Doc("Registry that only this machine reaches, such as tcp://localhost:5001 with --registry localhost:5001"),
]

enum_type(LatestPolicy)


def _shown(*, cache: Literal["never", "session"]) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Make a method a function of the module.

    Our errors reach the person as their message alone; anything else is a bug and keeps its traceback.

    Args:
        cache: `never` for what reads or writes a registry, as a result of last week would stand in for it otherwise;
            `session` for what only reads the checkout.
    """

    def decorate(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @wraps(method)
        async def with_plain_errors(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await method(*args, **kwargs)
            except PipelineError as error:
                raise FunctionError(str(error)) from error

        return function(cache=cache)(with_plain_errors)  # type: ignore[call-overload,no-any-return] # leaves `cache` out

    return decorate


@object_type
class Publication:
    """What a run published."""

    digest: Annotated[str, Doc("Digest of the image; every tag that was not kept names it")] = field()
    image: Annotated[str, Doc("Image without tag or digest, such as ghcr.io/linkradar/lr-backend")] = field()
    tags: Annotated[list[str], Doc("Names of the tags, in the order they were written")] = field()
    references: Annotated[list[str], Doc("Whole references by tag, as docker pull takes them")] = field()
    document: str
    markdown: str

    # Never cached: the same call of another day would answer with that day's report.
    @_shown(cache="never")
    async def report(self) -> dagger.File:
        """The whole report of the run as JSON; write it with -o build-report.json."""
        return dag.file("build-report.json", self.document)

    @_shown(cache="never")
    async def summary(self) -> str:
        """The report of the run as Markdown, for a job summary."""
        return self.markdown


@object_type
class BackendPipeline:
    """Build the backend, tag it by the rules, publish it, and answer with its digest."""

    source: Annotated[
        dagger.Directory,
        DefaultPath("/backend"),
        Ignore(list(NOT_SOURCE)),
        Doc("Folder to build, with its Dockerfile"),
    ]
    repo: Annotated[
        dagger.GitRepository,
        DefaultPath("/"),
        Doc("Git checkout that says which ref and commit this is"),
    ]
    git_config: Annotated[
        dagger.Directory,
        DefaultPath("/"),
        Ignore(_ONLY_GIT_CONFIG),
        Doc("Folder with the checkout's .git/config, which names the origin on GitHub"),
    ]
    dockerfile: Annotated[str, Doc("Path of the Dockerfile inside the source")] = "Dockerfile"
    registry: Annotated[str, Doc("Registry to publish to: a host, with a port if it needs one")] = DEFAULT_REGISTRY
    owner: Annotated[str | None, Doc("Owner of the image; the origin's owner by default when that is on GitHub")] = None
    name: Annotated[str, Doc("Name of the image")] = DEFAULT_NAME
    platform: Annotated[dagger.Platform | None, Doc("Platform to build for; the engine's own by default")] = None

    @_shown(cache="session")
    async def plan(self, *, ref: Ref = None, sha: Sha = None, latest: Latest = LatestPolicy.AUTO) -> str:
        """Say as JSON what would be built and how it would be tagged; needs no credentials and writes nothing."""
        plan = await self._plan(ref, sha, latest)
        return plan.report().model_dump_json(indent=2)

    @_shown(cache="session")
    async def build(self, *, ref: Ref = None, sha: Sha = None) -> dagger.Container:
        """Build the image with its labels and publish nothing; chain terminal to look around in it."""
        plan = await self._plan(ref, sha, LatestPolicy.AUTO)
        builder = DaggerBuilder(plan, self._source())
        await builder.build()
        return await builder.container()

    @_shown(cache="session")  # type: ignore[arg-type] # the SDK's `check` hides what it decorates
    @check
    async def image_builds(self) -> None:
        """Check that the image builds, for any checkout, a pull request's too; nothing is published."""
        await check_build(self._source(), self.name)

    @_shown(cache="never")
    async def build_and_push(
        self,
        *,
        ref: Ref = None,
        sha: Sha = None,
        username: Username = None,
        token: Token = None,
        latest: Latest = LatestPolicy.AUTO,
        allow_dirty: AllowDirty = False,
        registry_service: RegistryService = None,
    ) -> str:
        """Build the image, publish it under all its tags, and print exactly its digest."""
        plan = await self._plan(ref, sha, latest)
        login = await _login(plan, username, token)
        return (await self._publish(plan, login, registry_service, allow_dirty=allow_dirty)).digest

    @_shown(cache="never")
    async def publish(
        self,
        *,
        ref: Ref = None,
        sha: Sha = None,
        username: Username = None,
        token: Token = None,
        latest: Latest = LatestPolicy.AUTO,
        allow_dirty: AllowDirty = False,
        registry_service: RegistryService = None,
    ) -> Publication:
        """Do what build-and-push does, and answer with all of it: chain digest, tags, report or summary."""
        plan = await self._plan(ref, sha, latest)
        login = await _login(plan, username, token)
        report = await self._publish(plan, login, registry_service, allow_dirty=allow_dirty)
        return Publication(  # type: ignore[call-arg] # object_type makes it a dataclass behind mypy's back
            digest=report.digest,
            image=report.image,
            tags=[tag.name for tag in report.tags],
            references=[tag.reference for tag in report.tags],
            document=report.model_dump_json(indent=2),
            markdown=render_summary(report),
        )

    @_shown(cache="never")
    async def verify(
        self,
        *,
        ref: Ref = None,
        sha: Sha = None,
        digest: Annotated[str | None, Doc("Image to verify; the one that this commit's tag names by default")] = None,
        username: Username = None,
        token: Token = None,
        registry_service: RegistryService = None,
        command: Annotated[
            list[str] | None, Doc("Command that must end well in it; bin/rails,--version by default")
        ] = None,
        path: Annotated[str, Doc("Path that its server must answer")] = "/up",
        port: Annotated[int, Doc("Port that its server listens on")] = 3000,
    ) -> str:
        """Pull the published image by digest, run it, and say what it answered."""
        plan = await self._plan(ref, sha, LatestPolicy.AUTO)
        login = await _login(plan, username, token)
        access = await _api_access(login, registry_service)
        wanted = digest or await find_digest(plan.image, plan.tags.primary.name, access)
        defaults = Expectation()
        expectation = Expectation(command=tuple(command or defaults.command), path=path, port=port)
        verified = await verify_image(plan.image, wanted, EngineAccess(login, registry_service), expectation)
        return f"{verified.reference}\n{' '.join(expectation.command)}: {verified.output}\n{path}: {verified.status}"

    async def _publish(
        self, plan: RunPlan, login: Login | None, service: dagger.Service | None, *, allow_dirty: bool
    ) -> BuildReport:
        progress = PlainProgress()
        for notice in plan.notices:
            progress.notice(notice)
        content = partial(content_digest, self.source)
        plan = await settled_plan(plan.for_publishing(), content, allow_dirty=allow_dirty)
        builder = DaggerBuilder(plan, self._source(), EngineAccess(login, service))
        target = Target(self.platform or await default_platform(), asked_for=self.platform is not None)
        return await run_publish(plan, builder, await _api_access(login, service), progress, target=target)

    async def _plan(self, ref: str | None, sha: str | None, latest: LatestPolicy) -> RunPlan:
        request = RunRequest(registry=self.registry, owner=self.owner, name=self.name, ref=ref, sha=sha, latest=latest)
        return plan_run(request, await read_checkout(self.repo, self.git_config, ref))

    def _source(self) -> Source:
        return Source(self.source, self.dockerfile, self.platform)


async def _login(plan: RunPlan, username: str | None, token: dagger.Secret | None) -> Login | None:
    if token is None:
        return None
    # A file or a command ends with a newline, which engines take for a part of the password.
    text = await _plaintext(token)
    secret = token if text == text.strip() else dag.set_secret("registry-token", text.strip())
    return Login(username or plan.image.owner, secret)


async def _api_access(login: Login | None, service: dagger.Service | None) -> RegistryAccess:
    """Say how this process, inside the engine, reaches the registry's HTTP API."""
    credentials = None
    if login is not None:
        credentials = Credentials(username=login.username, password=SecretStr(await _plaintext(login.secret)))
    if service is None:
        return RegistryAccess(credentials)
    try:
        await service.start()
        return RegistryAccess(credentials, await service.endpoint(scheme="http"))
    except dagger.DaggerError as error:
        msg = f"The registry behind --registry-service does not answer: {one_line(str(error))}"
        raise EngineError(msg, hint="Start it, and name it as tcp://localhost:PORT.") from error


async def _plaintext(token: dagger.Secret) -> str:
    try:
        return await token.plaintext()
    except dagger.DaggerError as error:
        msg = f"The token cannot be read: {one_line(str(error))}"
        raise UsageError(msg, hint="Give --token env:NAME, file:PATH or cmd:COMMAND.") from error
