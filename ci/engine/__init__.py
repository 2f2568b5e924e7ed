"""The embedded engine: a Dagger session on the host, with buildah beneath it and no container runtime needed.

It serves the part of Dagger's API that the pipeline and its debugging use (`protocol/schema.graphql`), and refuses
everything else by name.
"""
