"""How much a peer may send before it has to wait: credit, window, loan, budget.

The receiver grants credit in bytes; the sender spends it. What was granted and not yet
sent, plus what was received and not yet consumed, never exceeds the channel's window:

    outstanding + buffered <= window + loan

A window starts small and doubles while its consumer keeps up and the peer uses it
within a round trip, so it comes to cover bandwidth x delay. A message larger than
the window could never be completed, because only whole messages are consumed: the
missing bytes are lent, and a repaid loan gives no credit back. All windows and loans of
one stream come out of one budget, so a stream's memory is bounded whatever is sent.

Must not know frames, scheduling or the wire. Specified in docs/spec/stream.md, section 4.4.
"""

from __future__ import annotations

from net.errors import LimitError, ProtocolError

STREAM_BUDGET = 64 << 20
"""Bytes that one peer may make us hold on one stream: three messages of the largest size
half done, and the windows of all channels."""

INITIAL_WINDOW = 1 << 20
"""Enough that a sender's TCP sees what a link has before the window grows: with a quarter of it,
one download in ten over 20 ms and 1 % loss took the pause for the link's rate, and kept to it."""

SMALL_WINDOW = 16 << 10
"""Window of a channel opened when half the budget is taken. 1024 of them make 16 MiB,
which come on top of the budget."""

MAX_WINDOW = 8 << 20
"""40 MB/s at 200 ms; 800 MB/s at 10 ms."""

GROWTH_TIME = 0.005
"""Seconds, the shortest round trip that counts."""

SLACK = 8
"""A window doubles when it is less than SLACK times what is used of it in a round trip. That is
the one that pings have shown: where packets are lost, or wait in a router, a byte takes several
times as long, and a window of twice bandwidth x delay held a link of 25 MB/s at 2. More than is
needed costs no urgent message time, for what a sender may send it keeps until there is room."""


class Budget:
    """Bytes that all windows and loans of one stream share."""

    def __init__(self, total: int = STREAM_BUDGET) -> None:
        self.total = total
        self.taken = 0

    def take(self, size: int) -> bool:
        """Reserve `size` bytes; False, and nothing changes, where they are not left."""
        if self.taken + size > self.total:
            return False
        self.taken += size
        return True

    def give(self, size: int) -> None:
        """Return reserved bytes."""
        self.taken -= size
        assert self.taken >= 0, "more given back than taken"


class ReceiveWindow:
    """The receiving side of one channel's flow control."""

    def __init__(self, budget: Budget, now: float) -> None:
        self._budget = budget
        if budget.taken + INITIAL_WINDOW <= budget.total // 2:
            self._reserved = self.size = INITIAL_WINDOW
            budget.take(INITIAL_WINDOW)
        else:
            self._reserved, self.size = 0, SMALL_WINDOW
        self.loan = 0
        self.outstanding = self.size
        self.buffered = 0
        self._granted_at = now

    def received(self, size: int) -> None:
        """Count bytes that came; raises `ProtocolError` when they were not granted."""
        if size > self.outstanding:
            raise ProtocolError(
                f"{size} bytes on a channel with {self.outstanding} bytes of credit", code="credit"
            )
        self.outstanding -= size
        self.buffered += size

    def consumed(self, size: int) -> None:
        """Count bytes that the consumer is done with."""
        if not 0 <= size <= self.buffered:
            raise ValueError(f"{size} bytes consumed of {self.buffered} received")
        self.buffered -= size
        needed = max(0, self.outstanding + self.buffered - self.size)
        if self.loan > needed:
            self._budget.give(self.loan - needed)
            self.loan = needed

    def grant(self, partial: int, now: float, round_trip: float) -> int:
        """Return the credit to send now, 0 for none.

        `partial` bytes belong to messages that are not complete. Raises `LimitError`
        when completing one would need more than the budget of the stream.
        """
        room = self.size + self.loan - self.outstanding - self.buffered
        stuck = partial == self.buffered and self.outstanding <= self.size // 4
        if room < self.size // 4 and not (partial and stuck):
            return 0
        keeps_up = self.buffered - partial <= self.size // 4
        used = max(room, self.size // 2) if stuck else room
        if keeps_up and self._limits(used, now - self._granted_at, max(GROWTH_TIME, round_trip)):
            room += self._grow()
        if partial and stuck and room < self.size // 4:
            room += self._lend(partial)
        self._granted_at = now
        self.outstanding += room
        return room

    def _limits(self, used: int, taken: float, round_trip: float) -> bool:
        """Tell whether the window is less than SLACK times what is used of it in a round trip."""
        return self.size * taken <= SLACK * used * round_trip

    def release(self) -> None:
        """Return everything to the budget: the channel is over."""
        self._budget.give(self._reserved + self.loan)
        self._reserved = self.loan = 0

    def _grow(self) -> int:
        growth = min(self.size, MAX_WINDOW - self.size)
        # The last quarter of the budget is for loans, without which nothing large moves.
        if growth <= 0 or self._budget.taken + growth > self._budget.total // 4 * 3:
            return 0
        self._budget.take(growth)
        self._reserved += growth
        self.size += growth
        return growth

    def _lend(self, partial: int) -> int:
        # Doubling what has come keeps a large message from costing a round trip a window.
        for size in (max(self.size, partial), self.size):
            if self._budget.take(size):
                self.loan += size
                return size
        raise LimitError(
            f"messages begun and not finished fill the stream's {self._budget.total} bytes",
            self._budget.total,
        )
