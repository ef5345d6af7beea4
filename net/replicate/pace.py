"""How fast one peer answers: its window in bytes, and our patience with it.

The delivery rate is taken over a request's whole flight: bytes that came between its
sending and its answer, over that time. A window of twice rate x delay doubles each
round trip while the link has more to give, and settles at what it needs when it has
not; so there is no separate start, and no loss signal is needed above a stream that
does its own congestion control. Specified in docs/spec/replication.md, section 5.

Must not know blocks, requests or peers. Time comes in as `now`.
"""

from __future__ import annotations

FLOOR = 512 << 10
"""Bytes that may always be in flight: the first window, and what absorbs a late answer."""
MAX_WINDOW = 16 << 20
"""80 MB/s at 200 ms."""

CHUNK_TIME = 0.25
"""Seconds of a peer's rate that one request asks for, so that a slow one promises little."""
FIRST_CHUNK = 128 << 10
MAX_CHUNK = 1 << 20
MIN_CHUNK = 8 << 10

MIN_PATIENCE = 1.0
"""Seconds. A garbage collection, a disk flush and a lost packet fit in it."""
FIRST_PATIENCE = 3.0
MAX_PATIENCE = 10.0

CHUNKS = 4
"""Requests in flight on a link without delay: one is read, sent, verified and stored each."""

OVERTAKING = 0.02
"""Seconds that an urgent request must be expected to save, besides two round trips, before
it asks again for what is in flight: a block that has left its sender comes twice."""
OVERTAKEN = 64 << 10
"""Bytes in flight that are not worth it: the rate of so little is that of our asking."""

RATE_MEMORY = 8
"""Answers after which the best rate is forgotten if it was not reached again."""


class Pace:
    """What we have measured of one peer."""

    def __init__(self) -> None:
        self.round_trip: float | None = None
        """Smoothed seconds from a request to the first byte's record; None before one came."""
        self.least_round_trip: float | None = None
        self.variance = 0.0
        self.rate = 0.0
        """Bytes a second, the best of late; 0 while unknown."""
        self.in_flight = 0
        """Bytes that we expect of what we have asked for."""
        self.delivered = 0
        """Bytes that have come in all."""
        self._rates: list[float] = []

    @property
    def window(self) -> int:
        """Bytes that may be in flight."""
        if self.least_round_trip is None:
            return FLOOR
        flight = int(2 * self.rate * self.least_round_trip)
        return min(MAX_WINDOW, max(FLOOR + flight, CHUNKS * self.chunk))

    @property
    def room(self) -> int:
        """Bytes that may be asked for now."""
        return self.window - self.in_flight

    @property
    def chunk(self) -> int:
        """Bytes that one bulk request should ask for."""
        if not self.rate:
            return FIRST_CHUNK
        return max(MIN_CHUNK, min(MAX_CHUNK, int(self.rate * CHUNK_TIME)))

    def asked(self, size: int) -> None:
        """Count a request for about `size` bytes."""
        self.in_flight += size

    def settled(self, size: int) -> None:
        """Count that so much less is expected."""
        self.in_flight = max(0, self.in_flight - size)

    def answered(self, now: float, sent_at: float, delivered_then: int, size: int) -> None:
        """Learn from a record of `size` bytes that answers a request.

        `delivered_then` is what `delivered` was when the request was sent.
        """
        self.delivered += size
        taken = max(now - sent_at, 1e-6)
        self._rates.append((self.delivered - delivered_then) / taken)
        del self._rates[:-RATE_MEMORY]
        self.rate = max(self._rates)

    def first_answer(self, now: float, sent_at: float) -> None:
        """Learn the time that a request took to be answered."""
        sample = max(now - sent_at, 0.0)
        if self.round_trip is None or self.least_round_trip is None:
            self.round_trip = self.least_round_trip = sample
            self.variance = sample / 2
        else:
            self.least_round_trip = min(self.least_round_trip, sample)
            self.variance += (abs(sample - self.round_trip) - self.variance) / 4
            self.round_trip += (sample - self.round_trip) / 8

    @property
    def patience(self) -> float:
        """Seconds without any answer after which others are asked for the same."""
        if self.round_trip is None:
            return FIRST_PATIENCE
        expected = 4 * (self.round_trip + self.variance)
        if self.rate:
            expected += 4 * min(self.in_flight, MAX_CHUNK) / self.rate
        return min(MAX_PATIENCE, max(MIN_PATIENCE, expected))

    @property
    def hedge_after(self) -> float:
        """Seconds after which somebody who waits is worth a second request, to another peer."""
        if self.round_trip is None:
            return FIRST_PATIENCE / 2
        return min(self.patience, 2 * self.round_trip + 4 * self.variance + 0.05)

    @property
    def overtaken(self) -> int:
        """Bytes in flight that come so soon that an urgent request would not come before them."""
        if self.round_trip is None or not self.rate:
            return MAX_WINDOW
        return max(OVERTAKEN, int(self.rate * (2 * self.round_trip + OVERTAKING)))

    def time_for(self, size: int) -> float:
        """Return the seconds in which we expect `size` bytes, asked for now."""
        if not self.rate or self.round_trip is None:
            return FIRST_PATIENCE
        return self.round_trip + (self.in_flight + size) / self.rate
