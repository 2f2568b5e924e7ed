"""The embedded engine: a Dagger session on this machine, with buildah beneath it and no container runtime needed.

It serves the part of Dagger's API that is in `protocol/schema.graphql`, and refuses everything else by name.
"""
