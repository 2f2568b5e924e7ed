"""From a caller's request and what git knows to the plan of one run.

Pure: nothing is read or written here, so `plan` needs no credentials and no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.rules.age import Age
from pipeline.rules.build_inputs import BuildInputs, Recipe, default_dockerfile
from pipeline.rules.checkout import Checkout, Commit, effective_commit, effective_ref
from pipeline.rules.errors import DirtyTreeError, ImageNameError, PipelineError, SourceMismatchError, UsageError
from pipeline.rules.github_origin import GitHubRepository, github_repository, repository_name
from pipeline.rules.image_name import ImageName, image_name, is_image_name
from pipeline.rules.labels import check_given, oci_labels
from pipeline.rules.refs import short_sha
from pipeline.rules.report import CommitReport, PlanReport
from pipeline.rules.shared_options import DEFAULT_MAX_AGE, RunRequest
from pipeline.rules.source_path import missing_dockerfile, missing_source
from pipeline.rules.tagging import LATEST, TagKind, TagPlan, branch_tag, plan_dirty, plan_tags
from pipeline.rules.text import listed, quoted

_USUAL_BRANCHES = ("main", "master")
"""The names that the default branch may have if git does not know it, as in a runner's shallow clone."""

_UNNAMED = "image"
"""Stands for a name that is not known, so that the image can be built nevertheless."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What one run does.

    Attributes:
        image: Where the image goes.
        tags: The tags, in the order of writing.
        commit: The commit that the image is built from.
        recipe: How it is built.
        inputs: What the image is built from.
        repository: The origin, if it is on GitHub.
        origin: The origin's URL.
        checked_out: The commit at HEAD, if git reports that it is not the run's.
        dirty: The paths that differ from the commit.
        problem: Why there is nothing to build, if that is known.
        allow_dirty: Whether a dirty tree may be published.
        force_move: Whether the branch's tag moves even to an older commit.
        no_reuse: Whether the image is built although the registry has one with the same build inputs.
        max_age: How old such an image may be.
        default_branch: The branch that the origin's HEAD points to, if git knows it.
        unnamed: Why the image may not be published under its name, if that is not known.
        notices: What the user should know before the run starts.
    """

    image: ImageName
    tags: TagPlan
    commit: Commit
    recipe: Recipe
    inputs: BuildInputs
    repository: GitHubRepository | None = None
    origin: str | None = field(default=None, repr=False)  # may hold a password
    checked_out: Commit | None = None
    dirty: tuple[str, ...] = ()
    problem: UsageError | None = None
    allow_dirty: bool = False
    force_move: bool = False
    no_reuse: bool = False
    max_age: Age = DEFAULT_MAX_AGE
    default_branch: str | None = None
    unnamed: ImageNameError | None = None
    notices: tuple[str, ...] = ()

    @property
    def likely_tags(self) -> tuple[str, ...]:
        """The tags whose images may have the same build inputs, the likeliest first; empty if none may be reused."""
        if self.no_reuse or self.dirty:
            return ()
        own = (tag.name for tag in self.tags.tags if tag.kind is TagKind.BRANCH)
        branches = _USUAL_BRANCHES if self.default_branch is None else (self.default_branch,)
        return tuple(dict.fromkeys((*own, *map(branch_tag, branches), LATEST)))

    def labels(self, from_dockerfile: Mapping[str, str]) -> dict[str, str]:
        """Return the labels that the pipeline sets; see `oci_labels`.

        Args:
            from_dockerfile: The labels that the Dockerfile set.
        """
        return oci_labels(
            image=self.image,
            commit=self.commit,
            inputs=self.inputs,
            repository=self.repository,
            origin=self.origin,
            from_dockerfile=from_dockerfile,
            given=dict(self.recipe.labels),
        )

    def commit_report(self) -> CommitReport:
        """Return the commit as a report holds it, with its page on GitHub if there is one."""
        url = None if self.repository is None else self.repository.commit_url(self.commit.sha)
        return CommitReport(
            sha=self.commit.sha,
            short_sha=self.commit.short_sha,
            message=self.commit.message,
            time=self.commit.time,
            url=url,
        )

    def report(self) -> PlanReport:
        """Return what would be built and tagged."""
        names = tuple(tag.name for tag in self.tags.tags)
        return PlanReport(
            image=str(self.image),
            primary=self.tags.primary.name,
            tags=names,
            references=tuple(self.image.tagged(name) for name in names),
            commit=self.commit_report(),
            ref=self.tags.ref,
            version=None if self.tags.version is None else str(self.tags.version),
            latest=self.tags.latest.value,
            dirty=self.dirty,
            refusals=tuple(error.message for error in self.refusals()),
            latest_condition=self.tags.latest_condition,
        )

    def refusals(self) -> Iterator[PipelineError]:
        """Return why publishing would be refused, whatever the registry has."""
        if self.unnamed is not None:
            yield self.unnamed
        if self.problem is not None:
            yield self.problem
        if self.dirty and not self.allow_dirty:
            msg = f"The working tree differs from commit {self.commit.short_sha}: {listed(self.dirty)}."
            hint = "Commit or stash the changes, or give --allow-dirty to publish under a sha-…-dirty-… tag alone."
            yield DirtyTreeError(msg, hint=hint)

    def check_publishable(self) -> None:
        """Check that the image may be published.

        Raises:
            ImageNameError: The image's name or owner is not known.
            UsageError: The source directory or its Dockerfile does not exist.
            DirtyTreeError: The working tree differs from the commit, and the request does not allow that.
        """
        for error in self.refusals():
            raise error

    def check_buildable(self) -> None:
        """Check that what is checked out may be built as the image of the run's commit.

        Raises:
            SourceMismatchError: Git reports that it is a different commit.
        """
        if self.checked_out is not None:
            wanted, there = self.commit.short_sha, self.checked_out.short_sha
            msg = f"The image of commit {wanted} must be built, but commit {there} is checked out."
            raise SourceMismatchError(msg, hint=f"Check it out: git checkout {wanted}")

    def for_dirty_tree(self, content: str) -> RunPlan:
        """Return the plan that publishes a dirty tree under its own tag alone.

        Args:
            content: A digest of the source as it is.
        """
        inputs = self.inputs.model_copy(update={"tree": f"dirty {content}"})
        return replace(self, tags=plan_dirty(self.tags.ref, self.commit.sha, content), inputs=inputs)


def plan_run(request: RunRequest, checkout: Checkout | None) -> RunPlan:
    """Plan a run.

    Args:
        request: What the caller requests.
        checkout: What git knows, or None if the request has both ref and commit.

    Raises:
        RefError: The ref or the commit is unknown or cannot be published.
        ImageNameError: The registry, owner or name is not valid.
        UsageError: A label is one of the pipeline's own.
        SourceMismatchError: The ref is a tag that points to a different commit.
    """
    origin = None if checkout is None else checkout.origin
    repository = github_repository(origin)
    image, unnamed = _image(request, repository, origin)
    ref = effective_ref(checkout, request.ref)
    commit = effective_commit(checkout, request.sha)
    recipe = recipe_of(request, default_dockerfile(() if checkout is None else checkout.dockerfiles))
    notices: list[str] = []
    if checkout is not None and checkout.tagged is not None and checkout.tagged != commit.sha:
        msg = f"{ref} points to commit {short_sha(checkout.tagged)}, not to {commit.short_sha}."
        raise SourceMismatchError(msg, hint=f"Check the tag out: git checkout {ref.removeprefix('refs/tags/')}")
    checked_out = None
    if checkout is not None and commit.sha != checkout.head.sha:
        notices.append(f"--sha {commit.short_sha} is not the commit that is checked out ({checkout.head.short_sha}).")
        checked_out = checkout.head if checkout.named is not None else None
    return RunPlan(
        image=image,
        tags=plan_tags(ref, commit.sha, request.latest),
        commit=commit,
        recipe=recipe,
        inputs=recipe.inputs(commit.source_tree),
        repository=repository,
        origin=origin,
        checked_out=checked_out,
        dirty=() if checkout is None else checkout.dirty,
        problem=None if checkout is None else _problem(request, checkout),
        allow_dirty=request.allow_dirty,
        force_move=request.force_move,
        no_reuse=request.no_reuse,
        max_age=request.max_age,
        default_branch=None if checkout is None else checkout.default_branch,
        unnamed=unnamed,
        notices=tuple(notices),
    )


def _image(
    request: RunRequest, repository: GitHubRepository | None, origin: str | None
) -> tuple[ImageName, ImageNameError | None]:
    """Return the image, and why it may not be published under that name, if a part of it is not known."""
    owner = request.owner or (None if repository is None else repository.owner)
    name = request.name if request.name is not None else (repository_name(origin) or "").lower()
    if request.name is None and not is_image_name(name):
        reason = f"{quoted(name)} is not a valid one" if name else "the repository has no remote `origin`"
        msg = f"The name of the image is not known: {reason}."
        hint = "Give --name, or set it in the repository's .env or dagger.json."
        return image_name(request.registry, owner, _UNNAMED), ImageNameError(msg, hint=hint)
    image = image_name(request.registry, owner, name)
    if owner is None and not image.is_loopback:
        msg = f"The owner of {image.name} on {image.registry} is not known."
        return image, ImageNameError(msg, hint="Give --owner, or set the remote `origin` to the repository on GitHub.")
    return image, None


def _problem(request: RunRequest, checkout: Checkout) -> UsageError | None:
    """Return why there is nothing to build."""
    if not checkout.has_source:
        return missing_source(request.source)
    if not checkout.dockerfiles:
        return missing_dockerfile(request.dockerfile or default_dockerfile(()), request.source)
    return None


def recipe_of(request: RunRequest, dockerfile: str) -> Recipe:
    """Return how a request's image is built.

    Args:
        request: What the caller requests.
        dockerfile: The Dockerfile's path in the source, if the caller gave none.

    Raises:
        UsageError: A label is one of the pipeline's own.
    """
    check_given(dict(request.label))
    return Recipe(
        dockerfile=request.dockerfile or dockerfile,
        platforms=request.platform,
        target=request.target or "",
        build_args=request.build_arg,
        secrets=tuple(name for name, _ in request.build_secret),
        labels=request.label,
        annotations=request.annotation,
    )
