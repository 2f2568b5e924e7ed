"""Fields of git repositories, of refs in them, and of what is not committed."""

from __future__ import annotations

from dataclasses import dataclass

from ci.engine.protocol.resolver_table import OPERATIONS
from ci.engine.protocol.session import Session
from ci.engine.store.git_repository import GitRefInfo, LocalRepository, Uncommitted
from ci.engine.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class GitRefState:
    """A ref of a repository."""

    repository: LocalRepository
    info: GitRefInfo


@OPERATIONS.serves("Directory.asGit")
async def as_git(_session: Session, directory: Snapshot) -> LocalRepository:
    """The repository in a directory."""
    return LocalRepository(directory.path)


@OPERATIONS.serves("GitRepository.head")
async def head(_session: Session, repository: LocalRepository) -> GitRefState:
    """What is checked out."""
    return GitRefState(repository, await repository.head())


@OPERATIONS.serves("GitRepository.ref")
async def ref(_session: Session, repository: LocalRepository, *, name: str) -> GitRefState:
    """A ref by its name."""
    return GitRefState(repository, await repository.ref(name))


@OPERATIONS.serves("GitRepository.tag")
async def tag(_session: Session, repository: LocalRepository, *, name: str) -> GitRefState:
    """A tag."""
    return GitRefState(repository, await repository.tag(name))


@OPERATIONS.serves("GitRepository.branch")
async def branch(_session: Session, repository: LocalRepository, *, name: str) -> GitRefState:
    """A branch."""
    return GitRefState(repository, await repository.branch(name))


@OPERATIONS.serves("GitRepository.commit")
async def commit(_session: Session, repository: LocalRepository, *, id_: str) -> GitRefState:
    """A commit."""
    return GitRefState(repository, await repository.commit(id_))


@OPERATIONS.serves("GitRepository.tags")
async def tags(_session: Session, repository: LocalRepository, *, patterns: list[str]) -> list[str]:
    """The names of the tags."""
    return await repository.tags(patterns)


@OPERATIONS.serves("GitRepository.branches")
async def branches(_session: Session, repository: LocalRepository, *, patterns: list[str]) -> list[str]:
    """The names of the branches."""
    return await repository.branches(patterns)


@OPERATIONS.serves("GitRepository.url")
async def url(_session: Session, _repository: LocalRepository) -> str | None:
    """Nothing: a local checkout has no URL, even with an origin. So it is on a Dagger engine."""
    return None


@OPERATIONS.serves("GitRepository.uncommitted")
async def uncommitted(_session: Session, repository: LocalRepository) -> Uncommitted:
    """What is not as HEAD says."""
    return await repository.uncommitted()


@OPERATIONS.serves("Changeset.isEmpty")
async def is_empty(_session: Session, changes: Uncommitted) -> bool:
    """Whether nothing differs."""
    return changes.is_empty


@OPERATIONS.serves("Changeset.modifiedPaths")
async def modified_paths(_session: Session, changes: Uncommitted) -> list[str]:
    """What differs."""
    return list(changes.modified)


@OPERATIONS.serves("Changeset.addedPaths")
async def added_paths(_session: Session, changes: Uncommitted) -> list[str]:
    """What has come."""
    return list(changes.added)


@OPERATIONS.serves("Changeset.removedPaths")
async def removed_paths(_session: Session, changes: Uncommitted) -> list[str]:
    """What has gone."""
    return list(changes.removed)


@OPERATIONS.serves("GitRef.commit")
async def ref_commit(_session: Session, state: GitRefState) -> str:
    """The full commit."""
    return state.info.commit


@OPERATIONS.serves("GitRef.ref")
async def ref_name(_session: Session, state: GitRefState) -> str:
    """The full name."""
    return state.info.ref


@OPERATIONS.serves("GitRef.tree")
async def tree(
    session: Session, state: GitRefState, *, discard_git_dir: bool, depth: int, include_tags: bool
) -> Snapshot:
    """The files of the commit."""
    with session.workspace.scratch() as folder:
        await state.repository.tree(
            state.info.commit,
            folder / "tree",
            ref=state.info.ref if state.info.ref.startswith("refs/") else "",
            depth=depth,
            discard_git_dir=discard_git_dir,
            include_tags=include_tags,
        )
        return await session.snapshots.capture(folder / "tree")
