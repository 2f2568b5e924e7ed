"""Settings of git under which the configuration of a repository that is only read starts no program.

Filters (`filter.*.clean`) do run, as git cannot compare the files of git-lfs or git-crypt without them.
"""

from __future__ import annotations

STARTS_NO_PROGRAM = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "log.showSignature": "false",  # `gpg.program`
}

NO_TRANSPORT = {"GIT_ALLOW_PROTOCOL": ""}
"""With this variable, git fetches nothing that a partial clone lacks, and so starts no ssh or other transport."""
