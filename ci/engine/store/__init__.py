"""What does the work: buildah, overlay storage, snapshots, git and OCI images on disk."""
