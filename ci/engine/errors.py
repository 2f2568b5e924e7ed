"""The errors of the embedded engine; messages and extensions have the form that a Dagger engine gives them."""

from __future__ import annotations

from collections.abc import Sequence

_KEPT = 64 * 1024
"""How much of an output stream an error carries, in characters: its end, which holds the reason."""


class EmbeddedEngineError(Exception):
    """Base of every error that the engine reports to its caller.

    Args:
        message: What happened, in one line.
        hint: What to do next; empty if the message is enough.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    @property
    def extensions(self) -> dict[str, object]:
        """The extensions of the GraphQL error."""
        return {}


class QueryFailedError(EmbeddedEngineError):
    """A query failed. The SDK raises it as `QueryError`."""


class NotServedError(QueryFailedError):
    """A field, an argument or a value of one that only a Dagger engine serves.

    Args:
        what: Its name in the schema, such as `Container.asService` or `Container.from(platform:)`, or in a Dockerfile.
        instead: What to do without a Dagger engine, as a command; empty if nothing.
    """

    def __init__(self, what: str, *, instead: str = "") -> None:
        out = f": use a Dagger engine, or {instead}" if instead else "; a Dagger engine serves it"
        super().__init__(f"{what} is not served by the embedded engine{out}")


class ExecFailedError(QueryFailedError):
    """A command in a container failed. The SDK raises it as `ExecError`.

    Args:
        command: The command and its arguments.
        exit_code: Its exit status.
        stdout: Its standard output, without secrets; the error keeps the last 64 KiB.
        stderr: Its standard error, likewise.
        output: Both in the order in which they were written, likewise; None if that is not known.
    """

    def __init__(
        self, command: Sequence[str], exit_code: int, *, stdout: str, stderr: str, output: str | None = None
    ) -> None:
        super().__init__(f'process "{" ".join(command)}" did not complete successfully: exit code: {exit_code}')
        self.command = list(command)
        self.status = exit_code
        self.stdout = stdout[-_KEPT:]
        self.stderr = stderr[-_KEPT:]
        self.output = None if output is None else output[-_KEPT:]

    @property
    def extensions(self) -> dict[str, object]:
        """The fields of the SDK's `ExecError`, and the whole output if that is known."""
        whole = {} if self.output is None else {"output": self.output}
        return whole | {
            "_type": "EXEC_ERROR",
            "cmd": self.command,
            "exitCode": self.status,
            "stdout": self.stdout,
            "stderr": self.stderr,
        }


class SnapshotError(EmbeddedEngineError):
    """A directory cannot be read, copied or written; the message contains the path."""


class PatternError(EmbeddedEngineError):
    """A pattern is not valid."""


class GitError(EmbeddedEngineError):
    """Git failed, or the repository, ref or commit does not exist."""
