"""What the embedded engine answers when something fails, in the words and the shape that a Dagger engine uses."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.rules.errors import EngineError

_KEPT = 64 * 1024
"""How much of an output stream an error carries, in characters: its end, where the reason stands."""


class QueryFailedError(EngineError):
    """A query failed. The SDK raises it as `QueryError`."""

    @property
    def extensions(self) -> dict[str, object]:
        """What stands in the GraphQL error beside the message."""
        return {}


class NotServedError(QueryFailedError):
    """A field, an argument or a value of one that only a Dagger engine serves.

    Args:
        what: Its name as the schema writes it, such as `Container.asService` or `Container.from(platform:)`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not served by the embedded engine; a Dagger engine serves it")


class ExecFailedError(QueryFailedError):
    """A command in a container failed. The SDK raises it as `ExecError`.

    Args:
        command: The command and its arguments.
        exit_code: Its exit status.
        stdout: What it wrote there, without secrets; an error keeps the last 64 KiB.
        stderr: The same of standard error.
    """

    def __init__(self, command: Sequence[str], exit_code: int, *, stdout: str, stderr: str) -> None:
        super().__init__(f'process "{" ".join(command)}" did not complete successfully: exit code: {exit_code}')
        self.command = list(command)
        self.status = exit_code
        self.stdout = stdout[-_KEPT:]
        self.stderr = stderr[-_KEPT:]

    @property
    def extensions(self) -> dict[str, object]:
        """The fields of the SDK's `ExecError`."""
        return {
            "_type": "EXEC_ERROR",
            "cmd": self.command,
            "exitCode": self.status,
            "stdout": self.stdout,
            "stderr": self.stderr,
        }
