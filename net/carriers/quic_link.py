"""One QUIC connection as one ordered stream of bytes in each direction; sans-I/O.

Only stream 0 is used: the client opens it with one byte, PREAMBLE, so that the server may
speak first as well as second. Anything else that a peer starts ends the connection.

    receive(burst, now)   datagrams_to_send(now, most)   next_timeout()   handle_timeout(now)
    next_event() -> LinkOpened, LinkData*, LinkEnded?, LinkLost

Invariant: while `hold` is in force nothing is taken out of the connection, whose window then
stops the peer; what had to be taken out all the same stays under MAX_UNREAD.
Must not know sockets, certificates, or who the peer is.
Specified in docs/spec/stream.md, section 5.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf

from net.addresses import Address, format_address
from net.carriers.quic_connection import WINDOW, BurstConnection, Native
from net.carriers.quic_path import Path
from net.carriers.segments import Burst

STREAM = 0
PREAMBLE = b"\x01"
"""The version of this use of QUIC: the first byte from the client."""

MAX_UNREAD = 4 * WINDOW
"""Bytes taken out of the core and not read. An honest peer of a reader that has stopped gets
there only after gigabytes in the other direction (quic_connection.MAX_HELD)."""

KEEP_ALIVE = 4.5
"""Seconds of quiet after which the client sends something: most routers forget a flow of UDP
after 30 or more, some after 5 (`net.punch.puncher.KEEPALIVE`). One that is lost is repeated."""

DONE = 0
ABORTED = 1
BROKEN = 2
"""Codes of an end: all was delivered; given up; the peer broke a rule."""


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """The handshake is done, and bytes may be sent."""


@dataclass(frozen=True, slots=True)
class LinkData:
    """Bytes from the other end."""

    data: bytes


@dataclass(frozen=True, slots=True)
class LinkEnded:
    """The other end sends no more."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The connection is over; None when nothing was lost by it."""

    error: Exception | None


LinkEvent = LinkOpened | LinkData | LinkEnded | LinkLost


class QuicLink:
    """One connection of an endpoint."""

    def __init__(
        self, connection: BurstConnection, address: Address, *, client: bool, now: float
    ) -> None:
        self.connection = connection
        self.client = client
        self.opened = False
        self.path = Path(address)
        self.issued: list[bytes] = []
        self.retired: list[bytes] = []
        """Connection ids that the endpoint has yet to learn or forget."""
        self._events: deque[LinkEvent] = deque()
        self._unread = 0
        self._held = True
        self._lost = False
        self._ended = False
        self._end_sent = False
        self._closing = False
        self._flying = False
        self._farewell = False
        self._active = now

    def __repr__(self) -> str:
        return f"<QuicLink to {format_address(self.path.address)}>"

    # Datagrams and time.

    def receive(self, burst: Burst, now: float) -> None:
        """Take datagrams for this connection; whatever it raises is the sender's fault."""
        fresh = self.connection.receive_burst(burst.data, burst.size, now)
        self._active = now
        if fresh and self.path.heard(burst.address, len(burst.data), now):
            self.connection.eager = True  # the answer to the ping must not wait for a reader
            self.connection.send_ping(self.path.token)
        elif self.client and not self.opened and self.connection.authenticated:
            self.path.take(burst.address)
        self._settle()

    def datagrams_to_send(self, now: float, most: int) -> list[bytes]:
        """Return up to `most` datagrams for `path.address`."""
        self._farewell = False
        out = self.connection.datagrams(now, most)
        if self._closing and not self._lost and len(out) < most:
            self._finish()
            out += self.connection.datagrams(now, most)
        if out:
            self._active = now
        if not self.path.proven:
            out = [data for data in out if self.path.may_send(len(data))]
        return out

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called."""
        due = self.connection.get_timer()
        if self._is_kept_alive:
            due = min(self._active + KEEP_ALIVE, due or inf)
        if not self.path.proven:
            due = min(self.path.deadline, due or inf)
        return due

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        if self._farewell:
            return  # qh3 counts from the last packet: the time to forget may be past already
        due = self.connection.get_timer()
        if due is not None and due <= now:
            self.connection.handle_timer(now)
            self._settle()  # it may have ended
        self.path.expire(now)
        self.connection.eager = not self.path.proven
        if self._is_kept_alive and now >= self._active + KEEP_ALIVE:
            self._active = now
            self.connection.send_ping(0)

    @property
    def _is_kept_alive(self) -> bool:
        return self.client and self.opened and not self._closing and not self._lost

    def nudge(self, now: float) -> None:
        """Send something at once: the other end learns from it where we are now."""
        if self.opened and not self._lost:
            self._active = now
            self.connection.send_ping(0)

    # Bytes.

    @property
    def unsent(self) -> int:
        """Bytes written that have not been sent once."""
        return self.connection.get_send_buffer_size(STREAM)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        if data and self.opened and not self._end_sent and not self._lost:
            self.connection.send_stream_data(STREAM, data)

    def send_end(self) -> None:
        """Send the end of our direction."""
        if self.opened and not self._end_sent and not self._lost:
            self._end_sent = True
            self.connection.send_stream_data(STREAM, b"", end_stream=True)

    def hold(self) -> None:
        """Give out nothing until `release`, and let the peer's window fill."""
        self._held = True

    def release(self) -> None:
        """Give out again."""
        self._held = False

    def close(self) -> None:
        """Let the other end have all that was written, then end; read no more."""
        if self._lost or self._closing:
            return
        if not self.opened:
            self.abort()
            return
        self.send_end()
        self._closing = True
        self.release()

    def abort(self, code: int = ABORTED, error: Exception | None = None) -> None:
        """End at once."""
        if not self._lost:
            self.connection.close(code, reason_phrase="" if error is None else str(error)[:120])
            self._events.clear()
            self._farewell = True
            self._lose(error)

    @property
    def over(self) -> bool:
        """Whether the connection can be forgotten."""
        return self._lost and self.connection.terminated

    def next_event(self) -> LinkEvent | None:
        """Return what has happened, None when that is all there is to tell now."""
        while not (self._events or self._lost or (self._held and self.opened)):
            native = self.connection.next_native()
            if native is None:
                self._settle()
                break
            self._take(native)
        if not self._events:
            return None
        event = self._events[0]
        if self._held and isinstance(event, LinkData | LinkEnded):
            last = self._events[-1]
            if isinstance(last, LinkLost) and last.error is not None:
                self._events.clear()  # cut off: what was not read is not worth waiting for
                return last
            return None
        if isinstance(event, LinkData):
            self._unread -= len(event.data)
        return self._events.popleft()

    # What the connection says.

    def _settle(self) -> None:
        """Learn what the connection has not kept for later."""
        while not self._lost and (native := self.connection.next_taken()) is not None:
            self._take(native)
        if self._lost:
            return
        closed = self.connection.closed
        if closed is not None:
            self._lose(_reason(closed.error_code, closed.frame_type, closed.reason_phrase))
        elif self.client and not self.opened and self.connection.established:
            self.connection.send_stream_data(STREAM, PREAMBLE)
            self._open()

    def _take(self, native: Native) -> None:
        kind = native[0]
        if kind == "stream_data":
            self._take_data(native[1], native[2], native[3])
        elif kind == "stream_reset":
            self.abort(BROKEN, ConnectionResetError("the other end reset the stream"))
        elif kind == "stop_sending":
            self.abort(BROKEN, ConnectionResetError("the other end does not read"))
        elif kind == "ping_acknowledged":
            self.path.prove(native[1])
            self.connection.eager = not self.path.proven
        elif kind == "connection_id_issued":
            self.issued.append(native[1])
        elif kind == "connection_id_retired":
            self.retired.append(native[1])

    def _take_data(self, stream: int, data: bytes, end: bool) -> None:
        if stream != STREAM:
            self.abort(BROKEN, ConnectionError(f"stream {stream} is not in use"))
            return
        if not self.opened:
            if data[:1] != PREAMBLE:
                self.abort(BROKEN, ConnectionError(f"unknown preamble {data[:1].hex()!r}"))
                return
            data = data[1:]
            self._open()
        if data and not self._closing:
            self._unread += len(data)
            self._events.append(LinkData(data))
            if self._unread > MAX_UNREAD:
                self.abort(BROKEN, ConnectionError(f"over {MAX_UNREAD} bytes unread"))
                return
        if end and not self._ended:
            self._ended = True
            self._events.append(LinkEnded())

    def _open(self) -> None:
        self.opened = True
        self._events.append(LinkOpened())

    def _finish(self) -> None:
        """End the connection once everything, and the end behind it, is acknowledged."""
        flying = self.connection.in_flight > 0
        if flying or self.unsent or self.connection.waits:
            self._flying |= flying
        elif self._flying:
            self.connection.close(DONE)
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        self._lost = True
        self._events.append(LinkLost(error))


def _reason(code: int, frame_type: int | None, phrase: str) -> Exception | None:
    """Say in terms of sockets why a connection is over."""
    if code == DONE and frame_type is None and not phrase:
        return None
    if phrase == "Idle timeout":
        return TimeoutError("the other end is silent")
    if code == ABORTED and not phrase:
        return ConnectionResetError("the other end aborted")
    return ConnectionResetError(phrase or f"QUIC error {code:#x}")
