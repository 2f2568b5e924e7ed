"""Step outputs, job summaries and deployment issues on GitHub, each rendered from the report of a run."""
