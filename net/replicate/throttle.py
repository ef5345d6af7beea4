"""A limit of bytes a second, for all feeds and peers of a node together.

What is spent moves a point in time forward, at which it will have been paid for; who
comes before that point waits until then. So a message of any size goes through, and
is paid for afterwards. Time comes in as `now`.
"""

from __future__ import annotations

BURST = 0.1
"""Seconds of the rate that may be spent at once after a pause."""


class Throttle:
    """Bytes a second; None for as many as there are."""

    def __init__(self, rate: float | None = None) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"a limit is a positive number of bytes a second, not {rate}")
        self.rate = rate
        self._paid_at = 0.0

    def spend(self, size: int, now: float) -> None:
        """Count bytes."""
        if self.rate is not None:
            self._paid_at = max(self._paid_at, now - BURST) + size / self.rate

    def wait(self, now: float) -> float:
        """Return the seconds until more may be spent."""
        return max(0.0, self._paid_at - now)
