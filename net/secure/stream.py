"""Secure streams: a Noise session over a carrier, with the face of an asyncio stream.

    stream.write(b"hi"); await stream.drain(); await stream.read(65536); stream.close()

The face of a `Line`, which is a carrier with its session, or of the two that it has while it
moves: it keeps deadlines and applies back-pressure. `net.secure.opening` makes it.
A reader that stops reading stops the peer, through the carrier; `drain` waits for a peer
that does not read. A layer that would rather be called than read (the channels do)
attaches a consumer.

Invariant: what a stream holds is bounded: what its reader does of plaintext, the carrier's
high-water mark and one `write` of ciphertext.
Must not know channels, feeds, or which carrier it runs on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Self

from net.addresses import Address
from net.carriers.base import Carrier
from net.carriers.medium import Medium
from net.errors import ClosedError, HandshakeError, NetError
from net.noise import Established, NoiseSession, PeerIdentified
from net.secure.consumer import Consumer
from net.secure.handshake import Handshake
from net.secure.line import Line
from net.secure.lines import FLUSH_DEADLINE, Giver, Lines, Surrendered
from net.secure.reader import READ_HIGH, Reader
from net.secure.writer import SEAL_CHUNK

CLOSE_DEADLINE = 5.0
"""Seconds in which the peer may end its direction after we have ended ours."""


class SecureStream:
    """An encrypted, authenticated stream to one peer; it reads and writes as asyncio's do."""

    def __init__(self, carrier: Carrier, session: NoiseSession) -> None:
        line = Line(carrier, session, self)
        self.handshake = Handshake(line)
        self._origin = session
        self.lines = Lines(line)
        self._carrier, self._writer = carrier, line.writer
        """Those of the line that is written on, at hand for each record."""
        self._given = False
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._consumer: Consumer | None = None
        self._reader = Reader(self.pause_reading, self.resume_reading)
        self._drain_waiters: set[asyncio.Future[None]] = set()
        self._reading_paused = False
        self._writing_paused = False
        self._ended = False
        self._end_sent = False
        self._closing = False
        self._error: NetError | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        peer = self._origin.established
        name = peer.public_key.hex()[:16] if peer else "nobody yet"
        return f"<SecureStream with {name} by {self.description}>"

    # Who and what.

    @property
    def remote_key(self) -> bytes:
        """The peer's Ed25519 public key, proven."""
        return self._peer.public_key

    @property
    def protocol(self) -> str:
        """What the initiator asked to speak."""
        return self._peer.protocol

    @property
    def handshake_hash(self) -> bytes:
        """64 bytes that name this stream, the same at both ends and on no other stream."""
        return self._peer.handshake_hash

    @property
    def extra(self) -> bytes:
        """What the peer sent along in the handshake."""
        return self._peer.extra

    @property
    def initiator(self) -> bool:
        """Whether this end has opened the stream."""
        return self._origin.initiator

    @property
    def medium(self) -> Medium:
        """What the bytes travel over now; it changes where the stream moves."""
        return self._carrier.medium

    @property
    def description(self) -> str:
        """Which way the bytes go, for people."""
        return self._carrier.description

    @property
    def address(self) -> Address | None:
        """Where the other end is, as far as we see; None where that means nothing."""
        return self._carrier.address

    @property
    def _peer(self) -> Established:
        peer = self._origin.established
        if peer is None:
            raise RuntimeError("the handshake is not finished")
        return peer

    # Reading.

    async def read(self, n: int = -1) -> bytes:
        """Return up to `n` bytes, at least one unless the stream has ended; all for -1."""
        return await self._reader.read(n)

    async def readexactly(self, n: int) -> bytes:
        """Return `n` bytes; raises `asyncio.IncompleteReadError` if the stream ends before."""
        return await self._reader.readexactly(n)

    def at_eof(self) -> bool:
        """Tell whether the peer has ended its direction and everything has been read."""
        return self._ended and not self._reader

    def attach(self, consumer: Consumer) -> None:
        """Call `consumer` from now on with all that comes, instead of keeping it for `read`."""
        if self._consumer is not None:
            raise RuntimeError("the stream has a consumer")
        self._consumer = consumer
        while self._reader:
            consumer.data_received(self._reader.take(READ_HIGH))
        if self._writing_paused:
            consumer.pause_writing()
        if self._ended:
            consumer.stream_ended()
        if self._closed.done():
            consumer.stream_lost(self._error)

    def pause_reading(self) -> None:
        """Let the peer wait: a consumer that cannot pass on what it gets."""
        self._reading_paused = True
        self.lines.read.carrier.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._reading_paused = False
        self.lines.read.carrier.resume_reading()

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data; follow it with `await drain()` where there is much of it."""
        if self._error is not None:
            raise self._error
        if self._closing or self._end_sent:
            raise ClosedError("the stream is closed for writing")
        if len(data) <= SEAL_CHUNK:
            self._writer.seal(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), SEAL_CHUNK):
            self._writer.seal(view[start : start + SEAL_CHUNK])

    def write_now(self, chunks: Iterable[bytes]) -> None:
        """Send chunks and hand them to the carrier now, not at the end of this turn of the loop."""
        writer = self._writer
        writer.flush_due = True  # below
        try:
            for chunk in chunks:
                self.write(chunk)
        finally:
            writer.flush()

    async def drain(self) -> None:
        """Wait until the peer has taken enough for more to be written."""
        self._writer.flush()
        if self._writing_paused and self._error is None:
            waiter = self._loop.create_future()
            self._drain_waiters.add(waiter)
            try:
                await waiter
            finally:
                self._drain_waiters.discard(waiter)
        if self._error is not None:
            raise self._error

    def write_eof(self) -> None:
        """End our direction; the peer may go on."""
        if not self._end_sent and self._origin.established is not None and self._error is None:
            self._end_sent = True
            self._writer.end()

    def flush(self) -> None:
        """Hand what was written to the carrier now, not at the end of this turn of the loop."""
        self._writer.flush()

    # Ending.

    def is_closing(self) -> bool:
        """Tell whether the stream is closed or about to be."""
        return self._closing or self._error is not None

    def close(self, *, linger: bool = True) -> None:
        """Send what was written and end our direction; what the peer still sends is dropped.

        The carrier ends when the peer has ended its direction, too, or without waiting
        for that where `linger` is false, and after a deadline in any case.
        """
        if self._closing:
            return
        self._closing = True
        self._reader.clear()
        self._reader.fail(ClosedError("the stream is closed"))
        if self._error is not None or self._origin.established is None:
            self._carrier.abort()
            return
        self.write_eof()
        self._abort_later()
        if self._ended or not linger:
            self._carrier.close()
        elif self._reading_paused:
            self.lines.read.carrier.resume_reading()

    def _abort_later(self) -> None:
        """Give the peer time to read what there is; while we move that is on two lines."""
        behind = self._writing_paused or bool(self.lines.left)
        seconds = FLUSH_DEADLINE if behind else CLOSE_DEADLINE
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._close_timer = self._loop.call_later(seconds, self._carrier.abort)

    def abort(self) -> None:
        """End the stream at once; what is on its way may be lost."""
        if not self._given:
            self._closing = True
            self._carrier.abort()

    async def wait_closed(self) -> None:
        """Wait until the carrier is gone, or another stream's."""
        await asyncio.shield(self._closed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()

    # What the line calls.

    def line_identified(self, peer: PeerIdentified) -> None:
        """Learn who wants to be accepted."""
        self.handshake.identified(peer)

    def line_established(self, peer: Established) -> None:
        """Learn that the handshake is done."""
        self.handshake.established(peer)

    def line_received(self, data: bytes) -> None:
        """Take the plaintext of one record."""
        if self._consumer is not None:
            self._consumer.data_received(data)
        elif not self._closing:
            self._reader.received(data)

    def line_ended(self, line: Line) -> None:
        """Learn that the peer has ended its direction."""
        if not self._ended:
            self._ended = True
            self._reader.end()
            if self._consumer is not None:
                self._consumer.stream_ended()
            if self._closing:
                self._carrier.close()
        if line is not self.lines.written:
            self._switch()

    def line_failed(self, line: Line, error: NetError) -> None:
        """Learn what the peer did wrong, or that the line was cut."""
        if line in self.lines:
            self.lines.drop()
            if self._error is None:
                self._error = error
                self._wake_all()

    def line_lost(self, line: Line, error: Exception | None) -> None:
        """Learn that the carrier is gone."""
        reason = f": {error}" if error else ""
        if line is not self.lines.written:
            self.line_failed(line, ClosedError(f"the connection was cut while it moved{reason}"))
            return
        if line is not self.lines.read:
            self.lines.read.drop()
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self._error is None and not (self._ended and self._closing):
            if self._origin.established is None:
                self._error = HandshakeError(f"the connection was lost in the handshake{reason}")
            elif not self._ended or error is not None:
                self._error = ClosedError(f"the connection was cut{reason}")
            else:
                self._error = ClosedError("the stream is closed")
        if not self._closed.done():
            self._closed.set_result(None)
        self._wake_all()
        if self._consumer is not None:
            self._consumer.stream_lost(self._error)

    def line_paused(self, line: Line) -> None:
        """Learn that the carrier has enough to send."""
        if line is not self.lines.written:
            return
        self._writing_paused = True
        if self._consumer is not None:
            self._consumer.pause_writing()

    def line_resumed(self, line: Line) -> None:
        """Learn that the carrier has room."""
        if line is not self.lines.written:
            return
        self._writing_paused = False
        if self._close_timer is not None:
            self._abort_later()
        self._wake_writers()
        if self._consumer is not None:
            self._consumer.resume_writing()

    # Moving to another line; `net.secure.moving` has agreed on it with the peer.

    @property
    def moving_key(self) -> bytes:
        """What only the two ends of this stream hold."""
        return self._origin.moving_key

    @property
    def may_move(self) -> bool:
        """Whether the stream can begin to move: it goes both ways, and is not moving."""
        ended = self._ended or self._end_sent or self.is_closing() or self._closed.done()
        return not ended and not self.lines.moving

    def go_on_over(self, onto: Giver) -> None:
        """Write from now on over the line of another stream, and read it after our own."""
        self._writer.flush()
        taken = onto.surrender()
        self.lines.go_on(taken, self)
        self._carrier, self._writer = taken.line.carrier, taken.line.writer
        if self._end_sent:
            self._writer.end()
        if taken.paused:
            self.line_paused(taken.line)
        elif self._writing_paused:
            self.line_resumed(taken.line)

    def surrender(self) -> Surrendered:
        """Give the line away; the stream itself is over."""
        self._writer.flush()
        self._closing = self._given = True
        self._closed.set_result(None)
        early = self._reader.take(self._reader.size)
        return Surrendered(self.lines.written, early, self._ended, self._writing_paused)

    def line_moved(self, line: Line) -> None:
        """Learn that what the peer says next comes over the line that was agreed on."""
        if self.lines.read is self.lines.written:
            onto = self.lines.take_expected()
            if onto is None or onto.is_closing():
                error = ClosedError("the stream moved to a connection that has been cut")
                self.line_failed(line, error)
                return
            self.go_on_over(onto)
        self._switch()

    def _switch(self) -> None:
        """Read the new line: the old one has brought all it had."""
        taken = self.lines.switch()
        if taken.early:
            self.line_received(taken.early)
        if taken.ended:
            self.line_ended(taken.line)
        taken.line.release()
        if self._reading_paused and not self._closing:
            self.pause_reading()
        else:
            self.resume_reading()

    def _wake_all(self) -> None:
        if self._error is not None:
            self.handshake.fail(self._error)
            self._reader.fail(self._error)
        self._wake_writers()

    def _wake_writers(self) -> None:
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)
