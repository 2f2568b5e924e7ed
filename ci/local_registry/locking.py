"""The lock of the registry's folder: one at a time, across processes."""

from __future__ import annotations

from ci.locking import exclusive_lock as file_lock

__all__ = ["file_lock"]
