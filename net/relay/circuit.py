"""A standing circuit at the relay: bytes of each stream go out on the other, and are counted.

Back-pressure goes through: a leg whose other side does not keep up is not read, and
neither is one that is over its rate. So a circuit holds what two streams hold at most.

    reading of a leg stops for   FULL, the other stream has enough to send
                                 RATE, the meter says when to go on

Invariant: bytes leave in the order in which they came, none is kept, none is looked at.
Must not know tokens or keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from net.errors import NetError
from net.relay.limits import Meter
from net.relay.messages import Limits
from net.secure.stream import SecureStream

FULL = "full"
RATE = "rate"


class Leg:
    """One of the two streams of a circuit."""

    def __init__(self, stream: SecureStream, circuit: Circuit) -> None:
        self.stream = stream
        self.ended = False
        self.full = False
        self._circuit = circuit
        self._reasons: set[str] = set()

    def stop_reading(self, reason: str) -> None:
        """Read no more until this reason, and every other, has gone."""
        if not self._reasons:
            self.stream.pause_reading()
        self._reasons.add(reason)

    def read_on(self, reason: str) -> None:
        """Take back a reason."""
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons:
                self.stream.resume_reading()

    # What the service passes on to it as the stream's consumer.

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self._circuit.carry(self, data)

    def stream_ended(self) -> None:
        """Pass the end of this direction on."""
        self.ended = True
        self._circuit.leg_ended(self)

    def stream_lost(self, error: NetError | None) -> None:  # noqa: ARG002 - gone is gone
        """End the other leg, too."""
        self._circuit.leg_lost(self)

    def pause_writing(self) -> None:
        """Learn that this side does not keep up."""
        self.full = True
        self._circuit.other(self).stop_reading(FULL)

    def resume_writing(self) -> None:
        """Learn that it has caught up."""
        self.full = False
        self._circuit.other(self).read_on(FULL)


class Circuit:
    """Two legs and their meter. `over` is told the limit that ended it, if one did."""

    def __init__(
        self,
        asking: SecureStream,
        accepting: SecureStream,
        limits: Limits,
        over: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._meter = Meter(limits, self._loop.time())
        self._over = over
        self._done = False
        self.legs = (Leg(asking, self), Leg(accepting, self))
        self._timer = self._loop.call_at(self._meter.ends_at(), self._on_time)

    @property
    def carried(self) -> int:
        """Bytes in both directions."""
        return self._meter.carried

    def other(self, leg: Leg) -> Leg:
        """Return the other leg."""
        return self.legs[1] if leg is self.legs[0] else self.legs[0]

    def carry(self, leg: Leg, data: bytes) -> None:
        """Pass bytes of one leg on to the other, and count them."""
        stream = self.other(leg).stream
        if self._done or stream.is_closing():
            return
        now = self._loop.time()
        delay = self._meter.take(len(data), now)
        stream.write(data)
        if passed := self._meter.exceeded(now):
            self.end(passed)
        elif delay:
            leg.stop_reading(RATE)
            self._loop.call_later(delay, leg.read_on, RATE)

    def leg_ended(self, leg: Leg) -> None:
        """Pass on that one side writes no more; with both, the circuit is over."""
        other = self.other(leg)
        other.stream.write_eof()
        if other.ended:
            self._finish("")
            for each in self.legs:
                each.stream.close(linger=False)

    def leg_lost(self, leg: Leg) -> None:
        """End the other side: in order if this one had said its last word, at once if not."""
        if not self._done:
            self._finish("")
            other = self.other(leg).stream
            if leg.ended:
                other.close(linger=False)
            else:
                other.abort()

    def end(self, reason: str) -> None:
        """End both sides behind what they were sent; each counts along and knows the limit."""
        if not self._done:
            self._finish(reason)
            for leg in self.legs:
                leg.stream.close(linger=False)

    def _finish(self, reason: str) -> None:
        self._done = True
        self._timer.cancel()
        self._over(reason)

    def _on_time(self) -> None:
        now = self._loop.time()
        if passed := self._meter.exceeded(now):
            self.end(passed)
        else:
            self._timer = self._loop.call_at(max(now + 0.01, self._meter.ends_at()), self._on_time)
