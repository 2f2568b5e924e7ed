"""Real git repositories for tests, away from the configuration of whoever runs them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

TIME = "2025-11-03T14:30:05+01:00"

ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": TIME,
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": TIME,
}


@dataclass(frozen=True)
class Repository:
    """A repository on this machine."""

    top: Path

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run git in it and return what it printed, without the newline at the end."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | ENVIRONMENT
        done = subprocess.run(
            ["git", *arguments], cwd=self.top, env=env, input=stdin, capture_output=True, check=True, timeout=60
        )
        return done.stdout.decode(errors="replace").removesuffix("\n")

    def commit(self, message: str | bytes = "Save links") -> str:
        """Commit all there is, with exactly this message, and return the commit's full name."""
        self.git("add", "--all")
        text = message.encode() if isinstance(message, str) else message
        self.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-F-", stdin=text)
        return self.head

    @property
    def head(self) -> str:
        """The full name of the commit at HEAD."""
        return self.git("rev-parse", "HEAD")

    def write(self, path: str, text: str = "content\n") -> Path:
        """Write a file of the working tree."""
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file


def new_repository(top: Path, branch: str = "master") -> Repository:
    """Make a repository without a commit."""
    top.mkdir(parents=True, exist_ok=True)
    made = Repository(top)
    made.git("init", "--quiet", f"--initial-branch={branch}")
    return made
