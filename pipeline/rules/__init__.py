"""The rules: pure, without I/O and without Dagger."""
