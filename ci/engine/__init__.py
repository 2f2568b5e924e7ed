"""The embedded engine: a Dagger session on this machine, with buildah beneath it and no container runtime needed.

It serves the part of Dagger's API that stands in `schema.graphql`, and refuses everything else by name. Nothing is
imported before it is used, so that a command that needs no engine does not wait for one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.engine.events import Event, Notice, Observer, OutputLine, StepFinished, StepStarted
    from ci.engine.program import run_session
    from ci.engine.server import EngineAddress, embedded_engine
    from ci.engine.storage import Mirror

__all__ = [
    "EngineAddress",
    "Event",
    "Mirror",
    "Notice",
    "Observer",
    "OutputLine",
    "StepFinished",
    "StepStarted",
    "embedded_engine",
    "run_session",
]

_MODULES = {
    **dict.fromkeys(("Event", "Notice", "Observer", "OutputLine", "StepFinished", "StepStarted"), "events"),
    **dict.fromkeys(("EngineAddress", "embedded_engine"), "server"),
    "Mirror": "storage",
    "run_session": "program",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
