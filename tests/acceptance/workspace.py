"""Repositories that are built in tests: git histories with a backend in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.command import ROOT

ORIGIN = "git@github.com:LinkRadar/linkradar.git"
COMMIT_TIME = "2025-11-03T12:00:00Z"
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "A Developer",
    "GIT_AUTHOR_EMAIL": "developer@example.com",
    "GIT_AUTHOR_DATE": COMMIT_TIME,
    "GIT_COMMITTER_NAME": "A Developer",
    "GIT_COMMITTER_EMAIL": "developer@example.com",
    "GIT_COMMITTER_DATE": COMMIT_TIME,
}


@dataclass(frozen=True)
class Workspace:
    """A git repository with a backend.

    Attributes:
        folder: Its top folder.
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Workspace:
        """Make a repository with nothing in it, on the branch master, whose origin is on GitHub."""
        folder.mkdir(parents=True)
        workspace = cls(folder)
        workspace.git("init", "--quiet", "--initial-branch=master")
        workspace.git("remote", "add", "origin", ORIGIN)
        return workspace

    @classmethod
    def with_backend(cls, folder: Path) -> Workspace:
        """Make a repository with one commit, which holds this repository's backend and its settings."""
        workspace = cls.create(folder)
        for path in _tracked("backend"):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target)
        shutil.copy(ROOT / ".env", folder)
        workspace.commit("Keep links\n\nAll of them.")
        return workspace

    @classmethod
    def with_dockerfile(cls, folder: Path, dockerfile: str) -> Workspace:
        """Make a repository with one commit, which holds a backend that is a Dockerfile alone."""
        workspace = cls.create(folder)
        workspace.write("backend/Dockerfile", dockerfile)
        workspace.write(".env", "BACKEND_PIPELINE_NAME=lr-backend\n")
        workspace.commit("Build next to nothing")
        return workspace

    @classmethod
    def with_example(cls, folder: Path, name: str) -> Workspace:
        """Make a repository with one commit on the branch main, which holds one of `examples/`."""
        workspace = cls.create(folder)
        workspace.git("branch", "--move", "main")
        example = f"examples/{name}"
        for path in _tracked(example):
            target = folder / Path(path).relative_to(example)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target)
        workspace.commit("Adopt the pipeline")
        return workspace

    @property
    def head(self) -> str:
        """The full name of the commit at HEAD."""
        return self.git("rev-parse", "HEAD")

    @property
    def short(self) -> str:
        """The first seven digits of the commit at HEAD."""
        return self.head[:7]

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command = ["git", "-C", str(self.folder), *arguments]
        done = subprocess.run(command, env=inherited | _GIT, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file of the working tree."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def append(self, path: str, text: str) -> None:
        """Add to a file of the working tree."""
        self.write(path, (self.folder / path).read_text(encoding="utf-8") + text)

    def commit(self, message: str) -> str:
        """Commit everything and return the commit's full name."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.head

    def copy(self, folder: Path) -> Workspace:
        """Return another repository with the same commits and the same branch."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workspace(folder)


def _tracked(folder: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", folder]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).is_file()]
