"""The resolvers of the schema's fields, by the type that the fields belong to; importing this registers them."""

from ci.engine.resolvers import (
    builds,
    containers,
    directories,
    execution,
    files,
    host,
    publishing,
    queries,
    repositories,
    workspaces,
)

__all__ = [
    "builds",
    "containers",
    "directories",
    "execution",
    "files",
    "host",
    "publishing",
    "queries",
    "repositories",
    "workspaces",
]
