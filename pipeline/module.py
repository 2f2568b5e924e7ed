"""The functions that `dagger call` offers. They are thin: `pipeline.run` does the work.

Annotations stay unquoted here (no `from __future__ import annotations`): the SDK reads them when the module loads.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Annotated, Literal, ParamSpec, TypeVar

import dagger
from dagger import Doc, check, dag, enum_type, field, function, object_type

# Private, but the only class whose message the SDK shows without a traceback; a test checks that.
from dagger.mod._exceptions import FunctionError
from pydantic import SecretStr

from pipeline.engine.builder import NOT_SOURCE, DaggerBuilder, EngineAccess, Source, check_build, find_dockerfile
from pipeline.engine.repository import WorkspaceHistory, read_checkout
from pipeline.engine.verification import verify_image
from pipeline.progress import PlainProgress
from pipeline.registry.credentials import Credentials
from pipeline.registry.failures import service_error
from pipeline.rules.age import parse_age
from pipeline.rules.build_inputs import Recipe
from pipeline.rules.errors import PipelineError, UsageError
from pipeline.rules.image_name import ImageName
from pipeline.rules.job_summary import render_summary
from pipeline.rules.named_values import parse_annotations, parse_build_args, parse_labels, secret_ids
from pipeline.rules.planning import RunPlan, plan_run, recipe_of
from pipeline.rules.platforms import parse_platforms
from pipeline.rules.report import BuildReport
from pipeline.rules.runtime_checks import RuntimeChecks
from pipeline.rules.shared_options import SHARED, AccessOptions, PlanOptions, PublishOptions, RunRequest
from pipeline.rules.source_path import parse_source
from pipeline.rules.tagging import LatestPolicy
from pipeline.rules.text import cause, quoted
from pipeline.run import RegistryAccess, plan_online, publish_run, published_image

P = ParamSpec("P")
R = TypeVar("R")


def _described(name: str) -> Doc:
    return Doc(str(SHARED[name]))


Ref = Annotated[str | None, _described("ref")]
Sha = Annotated[str | None, _described("sha")]
Username = Annotated[str | None, _described("username")]
Token = Annotated[dagger.Secret | None, _described("token")]
Timeout = Annotated[int, _described("timeout")]
Latest = Annotated[LatestPolicy, _described("latest")]
ForceMove = Annotated[bool, _described("force_move")]
AllowDirty = Annotated[bool, _described("allow_dirty")]
NoReuse = Annotated[bool, _described("no_reuse")]
MaxAge = Annotated[str, _described("max_age")]
RegistryService = Annotated[
    dagger.Service | None,
    Doc("Registry that only the host can reach, such as tcp://localhost:5001 with --registry localhost:5001"),
]

enum_type(LatestPolicy)


def _module_function(
    *, cache: Literal["never", "session"]
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Make a method a function of the module.

    A `PipelineError` is shown as its message alone; any other error is a bug and keeps its traceback.

    Args:
        cache: `never` for a function that reads or writes a registry, as cached results can be a week old;
            `session` for a function that only reads the checkout.
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


_AS_ALWAYS = PublishOptions()


@object_type
class Publication:
    """What a run published."""

    digest: Annotated[str, Doc("Digest of the image, which every tag that was not kept points to")] = field()
    image: Annotated[str, Doc("Image without tag or digest, such as ghcr.io/acme/api")] = field()
    tags: Annotated[list[str], Doc("Names of the tags, in the order of writing")] = field()
    references: Annotated[list[str], Doc("Full references by tag, as for docker pull")] = field()
    # Fields, because each chained function would start Python again (3 s).
    report: Annotated[dagger.File, Doc("Report of the run as JSON; write it with -o build-report.json")] = field()
    summary: Annotated[str, Doc("Report of the run as Markdown, for a job summary")] = field()


@object_type
class BackendPipeline:
    """Build the backend, tag it by the tagging rules, publish it, and return its digest."""

    ws: Annotated[dagger.Workspace, Doc("The caller's repository; the engine provides it")]
    source: Annotated[str, _described("source")] = RunRequest.source
    dockerfile: Annotated[str | None, _described("dockerfile")] = None
    target: Annotated[str | None, _described("target")] = None
    build_arg: Annotated[list[str] | None, _described("build_arg")] = None
    build_secret: Annotated[list[dagger.Secret] | None, _described("build_secret")] = None
    build_secret_id: Annotated[
        list[str] | None, Doc("Ids of the build secrets, which come without names, in the same order")
    ] = None
    label: Annotated[list[str] | None, _described("label")] = None
    annotation: Annotated[list[str] | None, _described("annotation")] = None
    registry: Annotated[str, _described("registry")] = RunRequest.registry
    owner: Annotated[str | None, _described("owner")] = None
    name: Annotated[str | None, _described("name")] = None
    platform: Annotated[str, _described("platform")] = str(RunRequest.platform)

    @_module_function(cache="never")
    async def plan(
        self,
        *,
        ref: Ref = None,
        sha: Sha = None,
        latest: Latest = RunRequest.latest,
        force_move: ForceMove = RunRequest.force_move,
        online: Annotated[bool, _described("online")] = PlanOptions.online,
        username: Username = None,
        token: Token = None,
        timeout: Timeout = AccessOptions.timeout,
        registry_service: RegistryService = None,
    ) -> str:
        """Print as JSON what would be built and how it would be tagged; needs no credentials and writes nothing."""
        plan = await self._plan(ref, sha, PublishOptions(latest=latest, force_move=force_move))
        report = plan.report()
        if online:
            access = await _access(plan.image, username, token, registry_service, timeout)
            report = await plan_online(plan, access, WorkspaceHistory(self.ws), PlainProgress())
        return report.model_dump_json(indent=2)

    @_module_function(cache="session")
    async def build(self, *, ref: Ref = None, sha: Sha = None) -> dagger.Container:
        """Build the image with its labels and publish nothing; chain terminal to open a shell in it."""
        plan = await self._plan(ref, sha)
        builder = DaggerBuilder(await self._source(plan.recipe))
        await builder.build(plan)
        return await builder.container(plan)

    @_module_function(cache="session")  # type: ignore[arg-type] # the SDK's `check` hides what it decorates
    @check
    async def image_builds(self) -> None:
        """Check that the image builds, for any checkout, including a pull request's; publish nothing."""
        request = self._request()
        recipe = recipe_of(request, await find_dockerfile(self._directory(), request.source))
        await check_build(await self._source(recipe), self.name or request.source)

    @_module_function(cache="never")
    async def build_and_push(
        self,
        *,
        ref: Ref = None,
        sha: Sha = None,
        username: Username = None,
        token: Token = None,
        timeout: Timeout = AccessOptions.timeout,
        latest: Latest = RunRequest.latest,
        force_move: ForceMove = RunRequest.force_move,
        allow_dirty: AllowDirty = RunRequest.allow_dirty,
        no_reuse: NoReuse = RunRequest.no_reuse,
        max_age: MaxAge = str(RunRequest.max_age),
        registry_service: RegistryService = None,
    ) -> str:
        """Build the image, publish it under all its tags, and print its digest and nothing else."""
        age = parse_age(max_age)
        options = PublishOptions(
            latest=latest, force_move=force_move, allow_dirty=allow_dirty, no_reuse=no_reuse, max_age=age
        )
        plan = await self._plan(ref, sha, options)
        return (await self._publish(plan, username, token, registry_service, timeout)).digest

    @_module_function(cache="never")
    async def publish(
        self,
        *,
        ref: Ref = None,
        sha: Sha = None,
        username: Username = None,
        token: Token = None,
        timeout: Timeout = AccessOptions.timeout,
        latest: Latest = RunRequest.latest,
        force_move: ForceMove = RunRequest.force_move,
        allow_dirty: AllowDirty = RunRequest.allow_dirty,
        no_reuse: NoReuse = RunRequest.no_reuse,
        max_age: MaxAge = str(RunRequest.max_age),
        registry_service: RegistryService = None,
    ) -> Publication:
        """Do what build-and-push does, and return all of its results: chain digest, tags, report or summary."""
        age = parse_age(max_age)
        options = PublishOptions(
            latest=latest, force_move=force_move, allow_dirty=allow_dirty, no_reuse=no_reuse, max_age=age
        )
        plan = await self._plan(ref, sha, options)
        report = await self._publish(plan, username, token, registry_service, timeout)
        return Publication(  # type: ignore[call-arg] # mypy does not know that object_type makes it a dataclass
            digest=report.digest,
            image=report.image,
            tags=[tag.name for tag in report.tags],
            references=[tag.reference for tag in report.tags],
            report=dag.file("build-report.json", report.model_dump_json(indent=2)),
            summary=render_summary(report),
        )

    @_module_function(cache="never")
    async def verify(
        self,
        *,
        ref: Ref = None,
        sha: Sha = None,
        digest: Annotated[str | None, _described("digest")] = None,
        username: Username = None,
        token: Token = None,
        timeout: Timeout = AccessOptions.timeout,
        registry_service: RegistryService = None,
        command: Annotated[list[str] | None, _described("command")] = None,
        path: Annotated[str | None, _described("path")] = None,
        port: Annotated[int | None, _described("port")] = None,
    ) -> str:
        """Pull the published image by digest, run it, and print what it did."""
        checks = RuntimeChecks(command=None if command is None else tuple(command), path=path, port=port)
        plan = await self._plan(ref, sha)
        access = await _access(plan.image, username, token, registry_service, timeout)
        found = await published_image(plan, digest, access, PlainProgress())
        engine = EngineAccess(access.credentials, registry_service)
        return (await verify_image(plan.image, found.digest, found.images, engine, checks)).summary()

    async def _publish(
        self,
        plan: RunPlan,
        username: str | None,
        token: dagger.Secret | None,
        service: dagger.Service | None,
        timeout: int,
    ) -> BuildReport:
        access = await _access(plan.image, username, token, service, timeout)
        builder = DaggerBuilder(await self._source(plan.recipe), EngineAccess(access.credentials, service))
        return await publish_run(plan, builder, access, WorkspaceHistory(self.ws), PlainProgress())

    async def _plan(self, ref: str | None, sha: str | None, options: PublishOptions = _AS_ALWAYS) -> RunPlan:
        request = replace(self._request(), ref=ref, sha=sha, **vars(options))
        return plan_run(request, await read_checkout(self.ws, request.source, ref, request.dockerfile))

    def _request(self) -> RunRequest:
        return RunRequest(
            source=parse_source(self.source),
            dockerfile=self.dockerfile,
            target=self.target,
            build_arg=parse_build_args(self.build_arg or ()),
            build_secret=secret_ids(self.build_secret_id or (), len(self.build_secret or ())),
            label=parse_labels(self.label or ()),
            annotation=parse_annotations(self.annotation or ()),
            registry=self.registry,
            owner=self.owner,
            name=self.name,
            platform=parse_platforms(self.platform),
        )

    def _directory(self) -> dagger.Directory:
        return self.ws.directory(f"/{parse_source(self.source)}", exclude=list(NOT_SOURCE))

    async def _source(self, recipe: Recipe) -> Source:
        # A secret given on the command line has no name, by which a Dockerfile refers to it.
        ids, secrets = self.build_secret_id or (), self.build_secret or ()
        named = [dag.set_secret(name, await _plaintext(name, each)) for name, each in zip(ids, secrets, strict=True)]
        return Source(self._directory(), parse_source(self.source), recipe, tuple(named))


async def _plaintext(name: str, secret: dagger.Secret) -> str:
    try:
        return await secret.plaintext()
    except dagger.DaggerError as error:
        msg = f"The build secret {quoted(name)} cannot be read: {cause(error)}."
        raise UsageError(msg, hint="Give --build-secret env:NAME, file:PATH or cmd:COMMAND.") from error


async def _access(
    image: ImageName,
    username: str | None,
    token: dagger.Secret | None,
    service: dagger.Service | None,
    timeout: int,
) -> RegistryAccess:
    return RegistryAccess(await _credentials(image, username, token), await _endpoint(image, service), timeout)


async def _credentials(image: ImageName, username: str | None, token: dagger.Secret | None) -> Credentials | None:
    if token is None:
        return None
    try:
        text = await token.plaintext()
    except dagger.DaggerError as error:
        msg = f"The token cannot be read: {cause(error)}."
        raise UsageError(msg, hint="Give --token env:NAME, file:PATH or cmd:COMMAND.") from error
    # The output of a file or a command ends with a newline.
    return Credentials(username=username or image.owner, password=SecretStr(text.strip()))


async def _endpoint(image: ImageName, service: dagger.Service | None) -> str | None:
    """Return the address at which this process, inside the engine, reaches a registry service's HTTP API."""
    if service is None:
        return None
    try:
        await service.start()
        return await service.endpoint(scheme="http")
    except dagger.DaggerError as error:
        raise service_error(error, image) from error
