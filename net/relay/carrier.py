"""A circuit through a relay, as a carrier: bytes ride on a secure stream with the relay.

Noise runs above it once more, end to end, so the relay handles ciphertext only; `binding`
is empty because the two ends share no key of the stream with the relay.

The relay cannot say why it ends a circuit, for what comes is the other end's bytes; but
it has said its limits, so this end counts along and names the limit that was reached.
"""

from __future__ import annotations

import asyncio

from net.addresses import Address
from net.carriers.base import Receiver
from net.carriers.medium import Medium
from net.errors import ClosedError, NetError
from net.relay.limits import Meter
from net.relay.messages import Limits
from net.secure.stream import SecureStream

SLACK = 2.0
"""Seconds by which the relay's clock, and the bytes that it has counted, may be ahead of ours."""


class RelayCarrier:
    """One end of a circuit. `early` are bytes of the other end that were read already."""

    address: Address | None = None
    """A circuit comes from nowhere: the relay's address says nothing about the other end."""

    def __init__(self, stream: SecureStream, limits: Limits, early: bytes = b"") -> None:
        self.medium = Medium.RELAY
        self.description = f"{self.medium} {stream.remote_key.hex()[:8]} {stream.description}"
        self.binding = b""
        self._stream = stream
        self._early = early
        self._loop = asyncio.get_running_loop()
        self._meter = Meter(limits, self._loop.time())
        self._receiver: Receiver | None = None
        self._paused = False
        self._ended = False
        self._closing = False
        self._lost = False

    # What the carrier's user calls.

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver."""
        self._receiver = receiver
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        self._stream.attach(self)
        if self._paused:
            self._stream.pause_reading()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._ended and not self._stream.is_closing():
            self._meter.take(len(data), self._loop.time())
            self._stream.write(data)

    def write_end(self) -> None:
        """Send the end of this direction."""
        if not self._ended:
            self._ended = True
            self._stream.write_eof()

    def pause_reading(self) -> None:
        """Deliver no more until `resume_reading`."""
        self._paused = True
        self._stream.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._paused = False
        self._stream.resume_reading()

    def close(self) -> None:
        """Send what was written, then end."""
        self._closing = self._ended = True
        self._stream.close(linger=False)

    def abort(self) -> None:
        """End at once."""
        self._closing = self._ended = True
        self._stream.abort()

    # What the stream calls.

    def data_received(self, data: bytes) -> None:
        """Pass on the plaintext of a record."""
        assert self._receiver is not None, "bytes before start"
        self._meter.take(len(data), self._loop.time())
        if not self._closing:
            self._receiver.data_received(data)

    def stream_ended(self) -> None:
        """Pass on that the other end writes no more, or that the relay carries no more."""
        if self._receiver is None or self._closing:
            return
        if self._meter.exceeded(self._loop.time(), early=SLACK):
            self._stream.abort()
            self.stream_lost(ClosedError("the relay ended the circuit"))
        else:
            self._receiver.carrier_ended()

    def stream_lost(self, error: NetError | None) -> None:
        """Pass on that the circuit is gone."""
        if self._lost or self._receiver is None:
            return
        self._lost = True
        self._receiver.carrier_lost(None if self._closing else self._reason(error))

    def _reason(self, error: NetError | None) -> NetError | None:
        if error is None:
            return None
        passed = self._meter.exceeded(self._loop.time(), early=SLACK)
        return ClosedError(f"the relay ended the circuit: {passed}") if passed else error

    def pause_writing(self) -> None:
        """Pass on that unsent bytes pile up."""
        if self._receiver is not None:
            self._receiver.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that they have gone."""
        if self._receiver is not None:
            self._receiver.resume_writing()
