"""What the rest of `ci` is built on: processes, locks, directories and secrets."""
