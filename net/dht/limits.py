"""How many requests an area of the network may make: a bucket of tokens for each.

A flood from one area is refused at the price of a table look-up, before a signature is
made or checked. This machine's own addresses are not limited.

Invariant: no more than `MAX_AREAS` areas are remembered, those that asked last; one that
is forgotten starts afresh, which favours it by one burst at most.
"""

from __future__ import annotations

from collections import OrderedDict

from net.addresses import Address, area

RATE = 100.0
"""Requests a second: a crawl makes ten, and a household has a few nodes."""

BURST = 400.0
"""Requests at once: a node that comes back announces all that it shares."""

MAX_AREAS = 4096


class RateLimit:
    """Counts requests by area."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def allow(self, address: Address, now: float) -> bool:
        """Take one request of an address into account; tells whether it is within the limit."""
        place = area(address)
        if place is None:
            return True
        left, last = self._left.pop(place, (self._burst, now))
        left = min(self._burst, left + (now - last) * self._rate)
        self._left[place] = (left - 1.0 if left >= 1.0 else left, now)
        while len(self._left) > MAX_AREAS:
            self._left.popitem(last=False)
        return left >= 1.0
