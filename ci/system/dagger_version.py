"""The version of Dagger that this project is made for."""

from __future__ import annotations

from importlib import metadata

DAGGER_VERSION = f"v{metadata.version('dagger-io')}"
"""The installed SDK's, which `pyproject.toml` pins; an engine refuses a module that requires a newer engine."""
