"""The embedded engine: a Dagger session on this machine, with buildah beneath it and no container runtime needed.

It serves the part of Dagger's API that stands in `schema.graphql`, and refuses everything else by name. Nothing is
imported here: `ci.engine.server` opens a session, and a command that needs none does not wait for it.
"""
