"""Many channels on one ordered, authenticated stream. No I/O.

    receive_data(data, now)   data_to_send() -> list[bytes]   next_event() -> Event | None
    next_timeout() -> float   handle_timeout(now)

What the bytes say of channels that open and end is for the `ChannelTable`, what they say of a
peer that is still there for `Liveness`; here they are cut into frames, and made of them.

Invariant: memory is bounded by the limits below, by the windows of `net.channels.window`
and by what our own side queues, whatever the peer sends or does not read.
Must not know feeds, sockets, records or what messages mean.
Specified in docs/spec/stream.md, section 4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from feedlog.errors import DecodeError
from net.channels import messages
from net.channels.channel import Channel, ChannelHandler, State
from net.channels.events import (
    ChannelClosed,
    ChannelDrained,
    ChannelMessage,
    Event,
    PeerLeft,
    PeerReady,
    PeerSilent,
)
from net.channels.liveness import Liveness
from net.channels.messages import FrameReader
from net.channels.schedule import Schedule
from net.channels.table import ChannelTable
from net.errors import ClosedError, LimitError, PeerError, ProtocolError
from net.noise.records import MAX_PLAINTEXT

MAX_CONTROL_BACKLOG = 1 << 20
"""Bytes of control messages that wait for the stream. We answer what a peer sends, so
one that sends and does not read would fill our memory: it is dropped here."""


class Mux:
    """One side of a stream of channels.

    `handshake_hash` names the stream, the same on both sides; `initiator` tells the
    sides apart. `features` are words by which peers learn what the other can do. `wake`
    is called when something waits to be sent that did not follow from `receive_data`.
    """

    def __init__(
        self,
        *,
        initiator: bool,
        handshake_hash: bytes,
        now: float,
        features: Sequence[str] = (),
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._wake = wake
        self._now = now
        self._ready = False
        self._left = False
        self._failure: PeerError | None = None
        self._reader = FrameReader()
        self._events: deque[Event] = deque()
        self._control: deque[bytes] = deque()
        self._control_size = 0
        self._schedule = Schedule()
        self._table = ChannelTable(
            self,
            initiator=initiator,
            handshake_hash=handshake_hash,
            put=self._put,
            events=self._events,
        )
        self._liveness = Liveness(now)
        self._put(messages.Hello(messages.VERSION, messages.MINIMUM_VERSION, tuple(features)))
        self._ping()

    # What our side does.

    @property
    def channels(self) -> list[Channel]:
        """The channels that are not over."""
        return list(self._table.channels.values())

    @property
    def round_trip(self) -> float | None:
        """Seconds from Ping to Pong, smoothed; None before the first Pong."""
        return self._liveness.round_trip

    @property
    def is_silent(self) -> bool:
        """Whether the peer has not answered lately, and may be elsewhere."""
        return self._liveness.is_silent

    def find(self, key: bytes, protocol: str) -> Channel | None:
        """Return our channel of that name, unless it is closing or over."""
        return self._table.find(key, protocol)

    def open(self, key: bytes, protocol: str, handler: ChannelHandler | None = None) -> Channel:
        """Ask for a channel about the feed `key`, or agree to the peer's request for it.

        The channel is usable at once in the second case, and when `ChannelOpened`
        comes in the first. Raises `ValueError` where we have one of that name, and
        `ProtocolError` when the peer's request was made without holding the key.
        """
        if self._left:
            raise ClosedError("the stream is over")
        try:
            return self._table.open(key, protocol, handler, self._now)
        except ProtocolError as error:
            self._failure = error
            raise

    def reject(self, key: bytes, protocol: str, reason: str = "") -> None:
        """Refuse the peer's request; `key` is the discovery key that it named."""
        self._table.reject((key, protocol), reason)

    def close(self, channel: Channel, reason: str = "") -> None:
        """Close a channel; what it has queued is not sent. Closing twice is nothing."""
        self._table.close(channel, reason)

    def say_goodbye(self, reason: str = "") -> None:
        """Queue the last message and forget what else waits; nothing may be opened after it."""
        if not self._left:
            self._left = True
            self._control.clear()
            self._control_size = 0
            self._schedule = Schedule()
            self._put(messages.Goodbye(messages.clip(reason)))

    # What the stream asks.

    def data_to_send(self, limit: int = MAX_PLAINTEXT) -> list[bytes]:
        """Return chunks to write, about `limit` bytes in all, each at most one record.

        Ask again when the stream has room: what is urgent by then goes first.
        """
        chunks: list[bytes] = []
        parts: list[bytes | memoryview] = []
        size = total = 0
        while total + size < limit:
            frame = self._next_frame()
            if not frame:
                break
            length = len(frame[0]) + len(frame[-1]) if len(frame) == 2 else len(frame[0])
            if size + length > MAX_PLAINTEXT:
                chunks.append(b"".join(parts))
                total += size
                parts, size = [], 0
            parts += frame
            size += length
        if parts:
            chunks.append(b"".join(parts))
        return chunks

    @property
    def wants_to_send(self) -> bool:
        """Whether `data_to_send` may have something."""
        return bool(self._control or self._schedule)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take plaintext of the stream; raises `PeerError`, and is dead, when it is wrong."""
        if self._failure is not None:
            raise self._failure
        self._now = self._liveness.heard_at = now
        try:
            for kind, body in self._reader.frames(data):
                if kind == messages.DATA:
                    self._on_data(body)
                elif kind == messages.CONTROL:
                    self._on_control(body)
                if self._failure is not None:
                    raise self._failure
        except PeerError as error:
            self._failure = error
            raise
        except DecodeError as error:
            self._failure = ProtocolError(str(error), code="decode")
            raise self._failure from error

    def next_event(self) -> Event | None:
        """Return the oldest event not yet returned."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float:
        """Return when `handle_timeout` is due."""
        return self._liveness.next_timeout()

    def doubt(self, now: float) -> None:
        """Ask the peer whether it is there, for there is reason to think that the way is gone."""
        self._now = now
        self._ping()

    def handle_timeout(self, now: float) -> None:
        """Ask a quiet peer whether it is there, and tell when it does not answer: `PeerSilent`.

        Raises `DeadlineError` for a dead one, and `PeerError` where it has broken a rule by what
        it does not do.
        """
        if self._failure is not None:
            raise self._failure
        self._now = now
        if self._liveness.check(now):
            self._ping()
        if self._liveness.falls_silent(now):
            self._events.append(PeerSilent())

    # What channels ask.

    def wake(self, channel: Channel) -> None:
        """Put the channel in line: it has something to send."""
        self._schedule.add(channel)
        self._wake()

    def replenish(self, channel: Channel) -> None:
        """Give credit back to the peer where it is due."""
        try:
            round_trip = self._liveness.round_trip or 0.0
            size = channel.window.grant(channel.partial, self._now, round_trip)
        except LimitError as error:
            # Ours to decide: this channel ends, the stream and its other channels go on.
            self.close(channel, str(error))
            self._events.append(ChannelClosed(channel, str(error)))
            return
        if size:
            self._put(messages.Credit(channel.number, size))

    # Sending.

    def _put(self, message: messages.Control) -> None:
        frame = messages.encode_control(message)
        if self._control_size + len(frame) > MAX_CONTROL_BACKLOG:
            # Not raised here, where a caller of ours may stand that is not to blame.
            self._failure = self._failure or LimitError(
                f"peer reads none of {self._control_size} bytes of answers", MAX_CONTROL_BACKLOG
            )
            return
        self._control.append(frame)
        self._control_size += len(frame)
        self._wake()

    def _ping(self) -> None:
        self._put(messages.Ping(self._liveness.ping(self._now)))

    def _next_frame(self) -> tuple[bytes | memoryview, ...]:
        if self._control:
            frame = self._control.popleft()
            self._control_size -= len(frame)
            return (frame,)
        turn = self._schedule.next()
        if turn is None:
            return ()
        channel, urgent = turn
        payload, more, drained = channel.take(urgent=urgent)
        if channel.queued:
            self._schedule.add(channel)
        if drained:
            self._events.append(ChannelDrained(channel))
        flags = (messages.MORE if more else 0) | (messages.URGENT if urgent else 0)
        return messages.data_header(len(payload), channel.number, flags), payload

    # Receiving.

    def _on_data(self, body: memoryview) -> None:
        if len(body) < messages.DATA_BODY_SIZE:
            raise ProtocolError(f"data frame has {len(body)} bytes")
        if not self._ready:
            raise ProtocolError("data before hello")
        number, flags = messages.DATA_BODY.unpack_from(body)
        channel = self._table.by_remote.get(number)
        if channel is None:
            raise ProtocolError(f"data on channel {number}, which is not open")
        if channel.state is not State.OPEN:
            return  # we have closed it, and the peer did not know
        urgent = bool(flags & messages.URGENT)
        message = channel.receive(
            body[messages.DATA_BODY_SIZE :], urgent=urgent, more=bool(flags & messages.MORE)
        )
        if message is not None:
            self._events.append(ChannelMessage(channel, message, urgent))
        if channel.partial:
            self.replenish(channel)

    def _on_control(self, body: memoryview) -> None:
        message = messages.decode_control(body)
        if not self._ready and not isinstance(message, messages.Hello):
            raise ProtocolError("control message before hello")
        match message:
            case messages.Hello():
                self._on_hello(message)
            case messages.Open():
                self._table.on_open(message)
            case messages.Reject():
                self._table.on_reject(message)
            case messages.Close():
                self._table.on_close(message)
            case messages.Credit():
                self._on_credit(message)
            case messages.Ping():
                self._put(messages.Pong(message.token))
            case messages.Pong():
                self._liveness.pong(message.token, self._now)
            case messages.Goodbye():
                self._left = True
                self._events.append(PeerLeft(message.reason))
            case None:
                pass  # a newer peer knows what it means

    def _on_hello(self, hello: messages.Hello) -> None:
        if self._ready:
            raise ProtocolError("second hello")
        version = min(hello.version, messages.VERSION)
        if version < max(hello.minimum, messages.MINIMUM_VERSION):
            raise ProtocolError(
                f"peer speaks versions {hello.minimum} to {hello.version}, "
                f"we {messages.MINIMUM_VERSION} to {messages.VERSION}",
                code="version",
            )
        self._ready = True
        self._events.append(PeerReady(version, hello.features))

    def _on_credit(self, message: messages.Credit) -> None:
        channel = self._table.by_remote.get(message.channel)
        if channel is None:
            raise ProtocolError(f"credit for channel {message.channel}, which is not open")
        if channel.state is State.OPEN:
            channel.grant(message.size)
            self._schedule.add(channel)
