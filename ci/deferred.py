"""What is slow to import, imported when it is first used: the Dagger SDK, the embedded engine, the GitHub client.

Each takes between a tenth of a second and a second, and most commands and runs need none of them. This is the only
place that defers an import; use it as `deferred.open_engine(…)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.engine.protocol.session_process import run_session
    from ci.github.issue_posting import post_deployment
    from ci.local.dagger_engine import open_engine

__all__ = ["open_engine", "post_deployment", "run_session"]

_HOMES = {
    "open_engine": "ci.local.dagger_engine",
    "post_deployment": "ci.github.issue_posting",
    "run_session": "ci.engine.protocol.session_process",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
