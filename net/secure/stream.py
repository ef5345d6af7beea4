"""Secure streams: a Noise session over a carrier, with the face of an asyncio stream.

    stream.write(b"hi"); await stream.drain(); await stream.read(65536); stream.close()

The face of a `Line`, which is a carrier with its session: it keeps deadlines and applies
back-pressure. `net.secure.opening` makes it.
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
from functools import partial
from typing import Self

from net.addresses import Address
from net.carriers.base import Carrier
from net.errors import ClosedError, HandshakeError, NetError
from net.noise import Established, NoiseSession, PeerIdentified
from net.secure.consumer import Consumer
from net.secure.line import Line, Surrendered
from net.secure.reader import READ_HIGH, Reader

CLOSE_DEADLINE = 5.0
"""Seconds in which the peer may end its direction after we have ended ours."""
FLUSH_DEADLINE = 60.0
"""Seconds in which a closed stream must get rid of what was written before."""

SEAL_CHUNK = 256 << 10
"""Bytes sealed before they are handed to the carrier: four records a system call."""


class SecureStream:
    """An encrypted, authenticated stream to one peer.

    Reads and writes as asyncio streams do.
    """

    def __init__(self, carrier: Carrier, session: NoiseSession) -> None:
        self._carrier = carrier
        self._session = session
        self._origin = session
        self._line = self._source = Line(carrier, session, self)
        self._next: SecureStream | None = None
        self._taken: Surrendered | None = None
        """What the line that we go on over had brought already."""
        self._given = False
        self._old: set[Line] = set()
        """Lines that we have left and that are not gone."""
        self._loop = asyncio.get_running_loop()
        self._identified: asyncio.Future[PeerIdentified | None] = self._loop.create_future()
        self._ready: asyncio.Future[Established] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._consumer: Consumer | None = None
        self._reader = Reader(self.pause_reading, self.resume_reading)
        self._drain_waiters: set[asyncio.Future[None]] = set()
        self._reading_paused = False
        self._writing_paused = False
        self._unflushed = 0
        self._flush_due = False
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

    # Making it.

    async def begin(self) -> PeerIdentified | None:
        """Start the handshake; return who wants to be accepted, None where nobody asks."""
        self._carrier.start(self._line)
        self.flush()
        peer = await self._identified
        if peer is None:
            await self._ready
        return peer

    async def accept(self, extra: bytes) -> None:
        """Finish the handshake with the peer that `begin` returned."""
        if self._error is not None:
            raise self._error
        self._session.accept(extra)
        self._line.dispatch()
        self._carrier.resume_reading()
        await self._ready

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
        self._source.carrier.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._reading_paused = False
        self._source.carrier.resume_reading()

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data; follow it with `await drain()` where there is much of it."""
        if self._error is not None:
            raise self._error
        if self._closing or self._end_sent:
            raise ClosedError("the stream is closed for writing")
        if len(data) <= SEAL_CHUNK:
            self._seal(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), SEAL_CHUNK):
            self._seal(view[start : start + SEAL_CHUNK])

    def write_now(self, chunks: Iterable[bytes]) -> None:
        """Send chunks and hand them to the carrier now, not at the end of this turn of the loop."""
        self._flush_due = True  # below
        try:
            for chunk in chunks:
                self.write(chunk)
        finally:
            self.flush()

    async def drain(self) -> None:
        """Wait until the peer has taken enough for more to be written."""
        self.flush()
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
        if not self._end_sent and self._session.established is not None and self._error is None:
            self._end_sent = True
            self._session.send_end()
            self.flush()
            self._carrier.write_end()

    def _seal(self, data: bytes | bytearray | memoryview) -> None:
        self._session.send(data)
        self._unflushed += len(data)
        if self._unflushed >= SEAL_CHUNK:
            self.flush()
        elif not self._flush_due:
            # Writes of one turn of the event loop leave in one system call.
            self._flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand what was written to the carrier now, not at the end of this turn of the loop."""
        self._flush_due = False
        self._unflushed = 0
        if self._closed.done():
            return  # what the session has to send may be another stream's
        if data := self._session.data_to_send():
            self._carrier.write(data)

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
        if self._error is not None or self._session.established is None:
            self._carrier.abort()
            return
        self.write_eof()
        self._abort_later()
        if self._ended or not linger:
            self._carrier.close()
        elif self._reading_paused:
            self._source.carrier.resume_reading()

    def _abort_later(self) -> None:
        """Give the peer time to read what there is; while we move that is on two lines."""
        behind = self._writing_paused or bool(self._old)
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
        if not self._identified.done():
            self._identified.set_result(peer)

    def line_established(self, peer: Established) -> None:
        """Learn that the handshake is done."""
        if not self._identified.done():
            self._identified.set_result(None)
        if not self._ready.done():
            self._ready.set_result(peer)

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
        if line is not self._line:
            self._switch()

    def line_failed(self, line: Line, error: NetError) -> None:
        """Learn what the peer did wrong, or that the line was cut."""
        if line is self._line or line is self._source:
            self._line.drop()
            self._source.drop()
            if self._error is None:
                self._error = error
                self._wake_all()

    def line_lost(self, line: Line, error: Exception | None) -> None:
        """Learn that the carrier is gone."""
        if line is not self._line:
            reason = f": {error}" if error else ""
            self.line_failed(line, ClosedError(f"the connection was cut while it moved{reason}"))
            return
        if line is not self._source:
            self._source.drop()
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self._error is None and not (self._ended and self._closing):
            reason = f": {error}" if error else ""
            if self._session.established is None:
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
        if line is not self._line:
            return
        self._writing_paused = True
        if self._consumer is not None:
            self._consumer.pause_writing()

    def line_resumed(self, line: Line) -> None:
        """Learn that the carrier has room."""
        if line is not self._line:
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
        return not ended and self._next is None and not self._old

    def expect_move(self, onto: SecureStream) -> None:
        """Go on over another stream as soon as the peer does."""
        self._next = onto

    def forget_move(self, onto: SecureStream) -> None:
        """Expect that no longer; nothing happens where it has come to pass."""
        if self._next is onto:
            self._next = None

    def go_on_over(self, onto: SecureStream) -> None:
        """Write from now on over the line of another stream, and read it after our own."""
        self.flush()
        left = self._taken = onto.surrender()
        self._old.add(self._line)
        self._line.leave()
        left.line.hold()
        left.line.owner = self
        self._line, self._carrier, self._session = left.line, left.line.carrier, left.line.session
        if self._end_sent:
            self._session.send_end()
            self._line.flush()
            self._carrier.write_end()
        if left.paused:
            self.line_paused(self._line)
        elif self._writing_paused:
            self.line_resumed(self._line)

    def surrender(self) -> Surrendered:
        """Give the line away; the stream itself is over."""
        self.flush()
        self._closing = self._given = True
        self._closed.set_result(None)
        early = self._reader.take(self._reader.size)
        return Surrendered(self._line, early, self._ended, self._writing_paused)

    def line_moved(self, line: Line) -> None:
        """Learn that what the peer says next comes over the line that was agreed on."""
        if self._source is self._line:
            onto, self._next = self._next, None
            if onto is None or onto.is_closing():
                error = ClosedError("the stream moved to a connection that has been cut")
                self.line_failed(line, error)
                return
            self.go_on_over(onto)
        self._switch()

    def _switch(self) -> None:
        """Read the new line: the old one has brought all it had."""
        old, self._source = self._source, self._line
        timer = self._loop.call_later(FLUSH_DEADLINE, old.carrier.abort)
        old.on_lost += [timer.cancel, partial(self._old.discard, old)]
        old.retire()
        left, self._taken = self._taken, None
        assert left is not None, "a stream switches after it has gone on"
        if left.early:
            self.line_received(left.early)
        if left.ended:
            self.line_ended(self._line)
        self._line.release()
        if self._reading_paused and not self._closing:
            self.pause_reading()
        else:
            self.resume_reading()

    def _wake_all(self) -> None:
        for future in (self._identified, self._ready):
            if not future.done() and self._error is not None:
                future.set_exception(self._error)
                future.exception()  # whoever waits gets it; nobody has to
        if self._error is not None:
            self._reader.fail(self._error)
        self._wake_writers()

    def _wake_writers(self) -> None:
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)
