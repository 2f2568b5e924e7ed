"""The functions behind the schema's fields, by the type that they belong to; importing this registers them."""

from ci.engine.resolvers import (
    builds,
    configuration,
    directories,
    execution,
    files,
    filesystems,
    mounting,
    publishing,
    queries,
    repositories,
    services,
    terminals,
)

__all__ = [
    "builds",
    "configuration",
    "directories",
    "execution",
    "files",
    "filesystems",
    "mounting",
    "publishing",
    "queries",
    "repositories",
    "services",
    "terminals",
]
