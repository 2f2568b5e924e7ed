"""The GitHub side of a run: step outputs, job summaries and deployment issues, each rendered from the run's report."""
