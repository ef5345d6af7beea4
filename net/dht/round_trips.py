"""How long to wait for an answer: learned from how long answers took.

A fixed time is too long in a city, where each dead node costs it, and too short over a
satellite. What counts is the slowest of nearly all, not the mean: a network has near and far
nodes, and those that are far must not pass for dead.

Invariant: `patience` lies in `LEAST_PATIENCE`..`MOST_PATIENCE`, and `timeout` is a multiple of
it. Must not know requests.
"""

from __future__ import annotations

from collections import deque

FIRST_PATIENCE = 0.4
"""Seconds before anything was measured; a round trip around the earth takes less."""

LEAST_PATIENCE = 0.2
"""Seconds in which also a far node answers, though all that were asked so far are near."""

MOST_PATIENCE = 1.0

TIMEOUT_FACTOR = 4.0
"""How much longer than `patience` a late answer is welcome: one resent datagram on the way."""

ENOUGH = 4
SAMPLES = 64
"""Answers from which on, and of the last of which, the time is learned."""

SHARE = 0.95
MARGIN = 1.5
"""So many times what this share of the answers took."""


class RoundTrips:
    """The times that one node's latest requests took."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=SAMPLES)
        self.patience = FIRST_PATIENCE
        """Seconds after which a request need not be waited for, and another is sent."""

    def add(self, seconds: float) -> None:
        """Take an answer into account."""
        self._samples.append(seconds)
        if len(self._samples) >= ENOUGH:
            ordered = sorted(self._samples)
            slow = MARGIN * ordered[int(SHARE * (len(ordered) - 1))]
            self.patience = min(MOST_PATIENCE, max(LEAST_PATIENCE, slow))

    @property
    def timeout(self) -> float:
        """Seconds after which an answer is not expected any more."""
        return TIMEOUT_FACTOR * max(self.patience, FIRST_PATIENCE)
