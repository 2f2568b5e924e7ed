from __future__ import annotations

from tests.registry_fixtures import registry, registry_with_auth, shared_registry

__all__ = ["registry", "registry_with_auth", "shared_registry"]
