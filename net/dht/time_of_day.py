"""The time of day, by which records and values expire; all else goes by `now`.

Invariant: `now` never goes back, and the time of day may jump: then whoever sets it is told so.
Must not know what expires.
"""

from __future__ import annotations

CLOCK_JUMP = 60.0
"""Seconds that the time of day may drift between two looks without meaning anything."""


class TimeOfDay:
    """Unix seconds at any `now`; `offset` is what lies between the two."""

    def __init__(self, now: float, unix: float) -> None:
        self.offset = unix - now

    def at(self, now: float) -> float:
        """Return the time of day at a moment."""
        return now + self.offset

    def set(self, now: float, unix: float) -> bool:
        """Say what time of day it is; tells whether it has jumped."""
        jumped = abs(unix - now - self.offset) > CLOCK_JUMP
        self.offset = unix - now
        return jumped
