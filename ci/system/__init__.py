"""The system beneath: processes, locks, folders, where secrets come from."""
