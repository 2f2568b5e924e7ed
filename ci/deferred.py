"""What is slow to import, imported when it is first used: the Dagger SDK, the engine, HTTP clients.

Each takes between a twentieth of a second and a second, and most commands and runs need none of them. This is the only
place that defers an import, except for the groups of commands and the start of `lr-ci`; use it as
`deferred.open_session(…)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.cli.publications import publish_all
    from ci.engine.protocol.session_process import run_session
    from ci.github.issue_posting import post_deployment
    from ci.local.base_image_mirrors import running_mirrors
    from ci.local.dagger_engine import engine_for
    from ci.local.dagger_session import open_session
    from ci.local.doctor import examine
    from ci.local.engine_session import engine_session
    from ci.local.leftovers import remove_leftovers
    from ci.local.local_run import prepare_run, preview_run

__all__ = [
    "engine_for",
    "engine_session",
    "examine",
    "load",
    "open_session",
    "post_deployment",
    "prepare_run",
    "preview_run",
    "publish_all",
    "remove_leftovers",
    "run_session",
    "running_mirrors",
]

_HOMES = {
    "engine_for": "ci.local.dagger_engine",
    "engine_session": "ci.local.engine_session",
    "examine": "ci.local.doctor",
    "open_session": "ci.local.dagger_session",
    "post_deployment": "ci.github.issue_posting",
    "prepare_run": "ci.local.local_run",
    "preview_run": "ci.local.local_run",
    "publish_all": "ci.cli.publications",
    "remove_leftovers": "ci.local.leftovers",
    "run_session": "ci.engine.protocol.session_process",
    "running_mirrors": "ci.local.base_image_mirrors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return load(name)


def load(name: str) -> object:
    """Import a name now, as in a thread while something else is waited for."""
    return getattr(import_module(_HOMES[name]), name)
