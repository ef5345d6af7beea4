"""Whether the other end of a stream is there, and how far away it is: pings, and silence.

    ping(now) -> token    pong(token, now)    next_timeout()
    check(now) -> whether to ping             falls_silent(now)

Invariant: a peer is given up `DEAD_AFTER` seconds after it was last heard, and told to be silent
once for each time that it has not answered, never before it had `SILENT_AFTER` seconds for it.
Must not know frames or channels. Time comes in as `now`.
Specified in docs/spec/stream.md, section 4.
"""

from __future__ import annotations

import math

from net.errors import DeadlineError

PING_AFTER = 5.0
"""Seconds of silence after which we ask: so long is nothing known of a peer that has moved. On the
wire that is 15 bytes a second each way more than to ask after twenty, by QUIC 25."""
SILENT_AFTER = 3.0
"""Seconds without an answer after which the peer may be elsewhere, or three round trips if that
is more: enough for six slow ones, or for a packet that is lost and sent again twice."""
DEAD_AFTER = 60.0
"""Seconds of silence after which the peer is gone. Until then the way may come back."""


class Liveness:
    """What we know of the other end's being there."""

    def __init__(self, now: float) -> None:
        self.heard_at = now
        """When the peer last said anything. The owner sets it: a call for that would be a call a
        record."""
        self.round_trip: float | None = None
        """Seconds from ping to pong, smoothed; None before the first pong."""
        self._pinged_at: float | None = None
        self._asked_at = -math.inf
        """When the first ping went out that the peer has said nothing after, if it is later than
        what was heard last."""
        self._told_at = -math.inf
        """When it was told to be silent, likewise."""
        self._token = 0

    @property
    def is_silent(self) -> bool:
        """Whether the peer has not answered, and was not heard since that was told."""
        return self._told_at > self.heard_at

    def ping(self, now: float) -> int:
        """Return the token of a ping that is sent now; the answer to an older one is no news."""
        self._token += 1
        self._pinged_at = now
        if self._asked_at <= self.heard_at:
            self._asked_at = now
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

    def next_timeout(self) -> float:
        """Return when `check` or `falls_silent` is due."""
        return min(self._ask_at, self._silent_at, self.heard_at + DEAD_AFTER)

    def check(self, now: float) -> bool:
        """Tell whether a quiet peer is to be pinged; raises `DeadlineError` for a dead one."""
        if now - self.heard_at >= DEAD_AFTER:
            raise DeadlineError(f"peer silent for {now - self.heard_at:.0f} s")
        return now >= self._ask_at

    def falls_silent(self, now: float) -> bool:
        """Tell, once, that a peer has not answered in time."""
        if now < self._silent_at:
            return False
        self._told_at = now
        return True

    @property
    def _ask_at(self) -> float:
        asked_at = self.heard_at if self._pinged_at is None else self._pinged_at
        return max(self.heard_at, asked_at) + PING_AFTER

    @property
    def _silent_at(self) -> float:
        if self._asked_at <= self.heard_at or self.is_silent:
            return math.inf
        return self._asked_at + max(SILENT_AFTER, 3 * (self.round_trip or 0.0))
