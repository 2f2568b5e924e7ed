"""What the URL of a git remote says of its repository.

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


_LAST_PART = re.compile(r"(?P<name>[^/:]+?)(?:\.git)?/*")


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


def repository_name(origin: str | None) -> str | None:
    """Return the name of the repository that a remote's URL or path refers to, wherever it is hosted."""
    text = "" if origin is None else re.split(r"[?#]", origin.strip(), maxsplit=1)[0].rstrip("/")
    match = _LAST_PART.fullmatch(re.split(r"[/:]", text)[-1])
    return None if match is None else match["name"]
