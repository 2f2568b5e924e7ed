"""A run on the local machine: settings, engine selection, session, git checkout, base images, doctor."""
