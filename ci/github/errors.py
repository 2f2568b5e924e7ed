"""What can go wrong with GitHub that the pipeline's own errors have no name for."""

from __future__ import annotations

from pipeline.rules.errors import ExitCode, PipelineError


class NetworkError(PipelineError):
    """GitHub or the network between did not do what it should."""

    exit_code = ExitCode.NETWORK


class UnknownOutcomeError(NetworkError):
    """A request may have been carried out although no answer came: look before it is sent again."""
