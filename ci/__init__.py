"""What stands around the pipeline: the `lr-ci` command, the embedded engine and the local registry."""
