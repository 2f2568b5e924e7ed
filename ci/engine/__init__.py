"""The embedded engine: a Dagger session on this machine, with buildah beneath it and no container runtime needed.

It serves the part of Dagger's API that stands in `schema.graphql`, and refuses everything else by name.
"""

from ci.engine.events import Event, Notice, Observer, OutputLine, StepFinished, StepStarted
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
]
