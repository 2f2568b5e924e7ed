"""From what the caller asks for and what git knows to what one run will do.

Pure: nothing is read or written here, so `plan` needs no credentials and no network.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pipeline.rules.checkout import Checkout, Commit, effective_commit, effective_ref
from pipeline.rules.errors import DirtyTreeError, ImageNameError, SourceMismatchError
from pipeline.rules.github_origin import GitHubRepository, github_repository
from pipeline.rules.image_name import ImageName, image_name
from pipeline.rules.refs import short_sha
from pipeline.rules.report import CommitReport, PlanReport
from pipeline.rules.tagging import LatestPolicy, TagPlan, plan_dirty, plan_tags

DEFAULT_REGISTRY = "ghcr.io"
DEFAULT_OWNER = "linkradar"
DEFAULT_NAME = "lr-backend"


class RunRequest(BaseModel):
    """What the caller asks for; None where git shall say it.

    Attributes:
        registry: Host and optional port.
        owner: Who the image belongs to.
        name: The image's own name.
        ref: The full git ref.
        sha: The full commit.
        latest: When a stable version also becomes `latest`.
        allow_dirty: Whether a working tree that no commit holds may be published, under a tag of its own.
    """

    model_config = ConfigDict(frozen=True)

    registry: str = DEFAULT_REGISTRY
    owner: str | None = None
    name: str = DEFAULT_NAME
    ref: str | None = None
    sha: str | None = None
    latest: LatestPolicy = LatestPolicy.AUTO
    allow_dirty: bool = False


class RunPlan(BaseModel):
    """What one run will do.

    Attributes:
        image: Where the image goes.
        tags: The tags of a clean tree, in the order of writing.
        commit: What it is built from.
        repository: The origin, where that is on GitHub.
        origin: The origin's URL.
        checked_out: The commit at HEAD, where git says that it is another one than the run's.
        dirty: The paths that are not what the commit says, and how a message lists them.
        owner_known: False where nobody said who the image belongs to and the default stands in.
        notices: What a person should know before it goes on.
    """

    model_config = ConfigDict(frozen=True)

    image: ImageName
    tags: TagPlan
    commit: Commit
    repository: GitHubRepository | None = None
    origin: str | None = Field(default=None, repr=False)  # may hold a password
    checked_out: Commit | None = None
    dirty: tuple[str, ...] = ()
    dirty_summary: str = ""
    owner_known: bool = True
    notices: tuple[str, ...] = ()

    def commit_report(self) -> CommitReport:
        """Say which commit it is, with its page on GitHub where there is one."""
        url = None if self.repository is None else self.repository.commit_url(self.commit.sha)
        return CommitReport(
            sha=self.commit.sha,
            short_sha=self.commit.short_sha,
            message=self.commit.message,
            time=self.commit.time,
            url=url,
        )

    def report(self) -> PlanReport:
        """Say what would be built and tagged."""
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
        )

    def for_publishing(self) -> RunPlan:
        """Return this plan where it may go to its registry.

        Raises:
            ImageNameError: Nobody said whose image it is, and it would leave this machine.
        """
        if not self.owner_known and not self.image.is_loopback:
            msg = f"Nothing says who {self.image.name} belongs to on {self.image.registry}."
            raise ImageNameError(msg, hint="Give --owner, or set the remote `origin` to the repository on GitHub.")
        return self

    def for_building(self) -> RunPlan:
        """Return this plan where what is checked out may be built as its commit.

        Raises:
            SourceMismatchError: Git says that it is another commit.
        """
        if self.checked_out is not None:
            wanted, there = self.commit.short_sha, self.checked_out.short_sha
            msg = f"The image of commit {wanted} must be built, but {there} is what is checked out."
            raise SourceMismatchError(msg, hint=f"Check it out: git checkout {self.commit.short_sha}")
        return self

    def for_dirty_tree(self, content: str, *, allowed: bool) -> RunPlan:
        """Return the plan that publishes a dirty tree under its own tag alone.

        Args:
            content: A digest of the source as it is.
            allowed: What the caller said of dirty trees.

        Raises:
            DirtyTreeError: It is not allowed.
        """
        if not allowed:
            msg = f"The working tree is not what commit {self.commit.short_sha} says: {self.dirty_summary}."
            hint = "Commit or stash it, or give --allow-dirty to publish it under a sha-…-dirty-… tag alone."
            raise DirtyTreeError(msg, hint=hint)
        return self.model_copy(update={"tags": plan_dirty(self.tags.ref, self.commit.sha, content)})


def plan_run(request: RunRequest, checkout: Checkout | None) -> RunPlan:
    """Decide what a run does.

    Args:
        request: What the caller asks for.
        checkout: What git knows, or None where there is no checkout and the request says it all.

    Raises:
        RefError: The ref or the commit cannot be published, or nothing says which one it is.
        ImageNameError: The registry, owner or name is not valid.
        SourceMismatchError: The ref is a tag that git has at another commit.
    """
    origin = None if checkout is None else checkout.origin
    repository = github_repository(origin)
    owner = request.owner or (None if repository is None else repository.owner)
    image = image_name(request.registry, owner or DEFAULT_OWNER, request.name)
    ref = effective_ref(checkout, request.ref)
    commit = effective_commit(checkout, request.sha)
    notices: list[str] = []
    if owner is None:
        notices.append(f"No --owner, and origin is not on GitHub: taking {DEFAULT_OWNER!r}.")
    if checkout is not None and checkout.tagged is not None and checkout.tagged != commit.sha:
        msg = f"{ref} names commit {short_sha(checkout.tagged)}, and this would publish {commit.short_sha} under it."
        raise SourceMismatchError(msg, hint=f"Check the tag out: git checkout {ref.removeprefix('refs/tags/')}")
    checked_out = None
    if checkout is not None and commit.sha != checkout.head.sha:
        notices.append(f"--sha {commit.short_sha} is not what is checked out ({checkout.head.short_sha}).")
        checked_out = checkout.head if checkout.named is not None else None
    return RunPlan(
        image=image,
        tags=plan_tags(ref, commit.sha, request.latest),
        commit=commit,
        repository=repository,
        origin=origin,
        checked_out=checked_out,
        dirty=() if checkout is None else checkout.dirty,
        dirty_summary="" if checkout is None else checkout.dirty_summary(),
        owner_known=owner is not None,
        notices=tuple(notices),
    )
