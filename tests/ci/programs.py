"""Made-up programs for tests: small shell scripts in a folder that is all of PATH."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Programs:
    """The folder that PATH names."""

    folder: Path

    def add(self, name: str, script: str = "exit 0") -> Path:
        """Put a program there that does what a shell script says."""
        program = self.folder / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
        return program

    def add_real(self, *names: str) -> None:
        """Put this machine's own programs there."""
        for name in names:
            found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            assert found is not None, f"{name} is not installed"
            (self.folder / name).symlink_to(found)
