"""A local registry on loopback (Debian's docker-registry), and the base images that it is seeded with."""
