"""One run from this machine: settings, which engine, its session, git, base images, doctor."""
