"""What the rest of `ci` stands on: processes, locks, directories and secrets."""
