"""One session: its secrets, the objects that its queries describe, and the work that is shared between queries."""
