"""Dockerfiles, read without a builder: their instructions, and the images that they start from."""
