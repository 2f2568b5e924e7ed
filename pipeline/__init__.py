"""Build the backend of this repository, publish it by clear tagging rules, and answer with its digest."""
