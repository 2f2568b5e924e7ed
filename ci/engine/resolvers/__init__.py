"""The resolvers of the schema's fields, by subject; importing this package registers them."""

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
    run_configs,
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
    "run_configs",
    "workspaces",
]
