"""Whether the other end of a stream is there, and how far away it is: pings, and silence.

    ping(now) -> token    pong(token, now)    doubt(now)    check(now)    next_timeout()

Invariant: a peer is given up `DEAD_AFTER` seconds after it was last heard, `DOUBT` after a doubt
that nothing it said has lifted, and never before.
Must not know frames or channels. Time comes in as `now`.
Specified in docs/spec/stream.md, section 4.
"""

from __future__ import annotations

import math

from net.errors import DeadlineError

PING_AFTER = 20.0
"""Seconds of silence after which we ask; routers forget a mapping after 30."""
DEAD_AFTER = 60.0
"""Seconds of silence after which the peer is gone."""
DOUBT = 5.0
"""The same after `doubt`: ten slow round trips."""


class Liveness:
    """What we know of the other end's being there."""

    def __init__(self, now: float) -> None:
        self.heard_at = now
        """When the peer last said anything. With each record the owner sets it, and lifts the
        doubt: a call for that would be a call a record."""
        self.doubted_until = math.inf
        """When the peer must have said something; infinite without a doubt."""
        self.round_trip: float | None = None
        """Seconds from ping to pong, smoothed; None before the first pong."""
        self._pinged_at: float | None = None
        self._token = 0

    def ping(self, now: float) -> int:
        """Return the token of a ping that is sent now; the answer to an older one is no news."""
        self._token += 1
        self._pinged_at = now
        return self._token

    def pong(self, token: int, now: float) -> None:
        """Learn the round trip from the answer to the latest ping."""
        if token != self._token or self._pinged_at is None:
            return
        sample = now - self._pinged_at
        self._pinged_at = None
        self.round_trip = (
            sample if self.round_trip is None else self.round_trip * 0.875 + sample * 0.125
        )

    def doubt(self, now: float) -> None:
        """Give the peer, which is to be pinged, `DOUBT` seconds; a second doubt gives no more."""
        self.doubted_until = min(self.doubted_until, now + DOUBT)

    def next_timeout(self) -> float:
        """Return when `check` is due."""
        asked_at = self.heard_at if self._pinged_at is None else self._pinged_at
        ask_at = max(self.heard_at, asked_at) + PING_AFTER
        return min(ask_at, self.heard_at + DEAD_AFTER, self.doubted_until)

    def check(self, now: float) -> bool:
        """Tell whether a silent peer is to be pinged; raises `DeadlineError` for a dead one."""
        if now - self.heard_at >= DEAD_AFTER or now >= self.doubted_until:
            raise DeadlineError(f"peer silent for {now - self.heard_at:.0f} s")
        return now >= self.next_timeout()
