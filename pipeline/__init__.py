"""Build the backend of this repository, publish it by clear tagging rules, and return its digest."""
