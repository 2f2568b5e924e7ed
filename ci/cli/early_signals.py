"""Ends the command at once on a signal while there is nothing to clean up: until it begins, and after it has ended."""

from __future__ import annotations

import os
import signal
from types import FrameType

BY_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a command."""


def stop_at_once() -> None:
    """Handle the signals that stop a command, until the command itself does."""
    for number in stopping_signals():
        signal.signal(number, _stop)


def stopping_signals() -> list[signal.Signals]:
    """Return the signals that stop a command; SIGHUP, of a closed terminal, is one unless `nohup` ignores it."""
    lost_terminal = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *lost_terminal]


def _stop(number: int, _frame: FrameType | None) -> None:
    os.write(2, f"error: Stopped by {signal.Signals(number).name}.\n".encode())
    os._exit(BY_SIGNAL + number)
