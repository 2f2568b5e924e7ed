"""Which HTTP statuses are worth another attempt; the registry, the engine and GitHub are treated alike.

Pure.
"""

from __future__ import annotations

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that report a temporary condition (RFC 9110, sections 15.5.9 and 15.6; RFC 6585, section 4; RFC 8470)."""
