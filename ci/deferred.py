"""What is slow to import, imported when it is first used: the Dagger SDK, the embedded engine, the GitHub client.

Each takes between a tenth of a second and a second, and most commands and runs need none of them. This is the only
place that defers an import, except for the start of `lr-ci`; use it as `deferred.open_session(…)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.engine.protocol.session_process import run_session
    from ci.github.issue_posting import post_deployment
    from ci.local.dagger_engine import engine_for
    from ci.local.dagger_session import open_session

__all__ = ["engine_for", "open_session", "post_deployment", "run_session"]

_HOMES = {
    "engine_for": "ci.local.dagger_engine",
    "open_session": "ci.local.dagger_session",
    "post_deployment": "ci.github.issue_posting",
    "run_session": "ci.engine.protocol.session_process",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
