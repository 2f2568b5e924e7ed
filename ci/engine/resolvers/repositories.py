"""Fields of `GitRepository`, `GitRef` and `Changeset`."""

from __future__ import annotations

from dataclasses import dataclass

from ci.engine.session.descriptions import Description
from ci.engine.session.resolver_registration import RESOLVERS
from ci.engine.session.session import Session
from ci.engine.store.git_repository import GitRefInfo, LocalRepository, Uncommitted
from ci.engine.store.git_tree import CommitTree
from ci.engine.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class GitRefState:
    """A ref of a repository."""

    repository: LocalRepository
    info: GitRefInfo


@RESOLVERS.field("Directory.asGit")
async def as_git(_session: Session, directory: Snapshot) -> LocalRepository:
    return LocalRepository(directory.path)


@RESOLVERS.field("GitRepository.head")
async def head(_session: Session, repository: LocalRepository) -> GitRefState:
    return GitRefState(repository, await repository.head())


@RESOLVERS.field("GitRepository.commit")
async def commit(_session: Session, repository: LocalRepository, *, id: str) -> GitRefState:  # noqa: A002 # its name there
    return GitRefState(repository, GitRefInfo(id, id))


@RESOLVERS.field("GitRepository.tag")
async def tag(_session: Session, repository: LocalRepository, *, name: str) -> GitRefState:
    return GitRefState(repository, await repository.tag(name))


@RESOLVERS.field("GitRepository.tags")
async def tags(_session: Session, repository: LocalRepository) -> list[str]:
    return await repository.tags()


@RESOLVERS.field("GitRepository.uncommitted")
async def uncommitted(_session: Session, repository: LocalRepository) -> Uncommitted:
    return await repository.uncommitted()


@RESOLVERS.field("Changeset.isEmpty")
async def is_empty(_session: Session, changes: Uncommitted) -> bool:
    return changes.is_empty


@RESOLVERS.field("Changeset.modifiedPaths")
async def modified_paths(_session: Session, changes: Uncommitted) -> list[str]:
    return list(changes.modified)


@RESOLVERS.field("Changeset.addedPaths")
async def added_paths(_session: Session, changes: Uncommitted) -> list[str]:
    return list(changes.added)


@RESOLVERS.field("Changeset.removedPaths")
async def removed_paths(_session: Session, changes: Uncommitted) -> list[str]:
    return list(changes.removed)


@RESOLVERS.field("GitRef.commit")
async def ref_commit(_session: Session, state: GitRefState) -> str:
    return state.info.commit


@RESOLVERS.field("GitRef.ref")
async def ref_name(_session: Session, state: GitRefState) -> str:
    return state.info.ref


@RESOLVERS.field("GitRef.commonAncestor")
async def common_ancestor(session: Session, state: GitRefState, *, other: Description) -> GitRefState:
    second = await session.value(other, GitRefState)
    found = await state.repository.common_ancestor(state.info.commit, second.repository, second.info.commit)
    return GitRefState(state.repository, GitRefInfo(found, found))


@RESOLVERS.field("GitRef.tree")
async def tree(session: Session, state: GitRefState, *, discard_git_dir: bool, depth: int) -> Snapshot:
    ref = state.info.ref if state.info.ref.startswith("refs/") else ""
    with session.folders.scratch() as folder:
        await state.repository.check_out(CommitTree(state.info.commit, ref, depth, discard_git_dir), folder)
        return await session.snapshots.capture(folder)
