"""Repositories on GitHub, recognised by the URL of a git remote.

Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ORIGIN = re.compile(
    r"(?:https?://(?:[^@/]+@)?|ssh://(?:[^@/]+@)?|git://|(?:[^@/:]+@))?"
    r"(?:(?i:(?:www\.|ssh\.)?github\.com))(?::[0-9]+)?[/:]+"
    r"(?P<owner>[A-Za-z0-9_-]+)/(?P<repository>[A-Za-z0-9._-]+?)(?:\.git)?/?"
)


@dataclass(frozen=True, slots=True)
class GitHubRepository:
    """A repository on GitHub.

    Attributes:
        owner: The user or organisation.
        name: The repository's name.
    """

    owner: str
    name: str

    @property
    def url(self) -> str:
        """The repository's web page."""
        return f"https://github.com/{self.owner}/{self.name}"

    def commit_url(self, commit: str) -> str:
        """Return the web page of a commit."""
        return f"{self.url}/commit/{commit}"


def github_repository(origin: str | None) -> GitHubRepository | None:
    """Return the repository that a remote's URL refers to, or None if that is not on GitHub.

    Args:
        origin: The output of `git config remote.origin.url`: an `https`, `ssh` or `git` URL, or the short form
            `git@github.com:owner/name`.
    """
    match = None if origin is None else _ORIGIN.fullmatch(origin.strip())
    return None if match is None else GitHubRepository(owner=match["owner"], name=match["repository"])
