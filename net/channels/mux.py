"""Many channels on one ordered, authenticated stream. No I/O.

    receive_data(data, now)   data_to_send() -> list[bytes]   next_event() -> Event | None
    next_timeout() -> float | None   handle_timeout(now)

A channel has a name: a feed's discovery key and a protocol. It opens when both sides
have sent an Open of that name, each with a proof, bound to this stream and to the side,
that it holds the feed's key. So an Open asks for what the other has not opened, and
agrees to what it has; two Opens that cross are one channel. Each side has at most one
channel of a name that is not over, so the n-th of one side is the n-th of the other.

Invariant: memory is bounded by the limits below, by the windows of `net.channels.window`
and by what our own side queues, whatever the peer sends or does not read.
Must not know feeds, sockets, records or what messages mean.
Specified in docs/spec/stream.md, section 4.
"""

from __future__ import annotations

import hmac
import math
from collections import deque
from collections.abc import Callable, Sequence

from feedlog.errors import DecodeError
from feedlog.hashing import discovery_key
from net.channels import messages
from net.channels.channel import Channel, ChannelHandler, State
from net.channels.events import (
    ChannelClosed,
    ChannelDrained,
    ChannelMessage,
    ChannelOpened,
    ChannelRequested,
    Event,
    PeerLeft,
    PeerReady,
    RequestWithdrawn,
)
from net.channels.messages import FrameReader
from net.channels.schedule import Schedule
from net.channels.window import Budget, ReceiveWindow
from net.errors import ClosedError, DeadlineError, LimitError, PeerError, ProtocolError
from net.hashing import capability
from net.noise.records import MAX_PLAINTEXT

MAX_CHANNELS = 1024
"""Channels of one stream that are not over. More feeds than that are opened in turn."""

MAX_REQUESTS = 128
"""Channels that the peer has asked for and nobody has answered; more are refused."""

MAX_CONTROL_BACKLOG = 1 << 20
"""Bytes of control messages that wait for the stream. We answer what a peer sends, so
one that sends and does not read would fill our memory: it is dropped here."""

PING_AFTER = 20.0
"""Seconds of silence after which we ask; routers forget a mapping after 30."""
DEAD_AFTER = 60.0
"""Seconds of silence after which the peer is gone."""
DOUBT = 5.0
"""The same after `doubt`: ten slow round trips."""

Name = tuple[bytes, str]


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
        self.initiator = initiator
        self.handshake_hash = handshake_hash
        self.round_trip: float | None = None
        """Seconds from Ping to Pong, smoothed; None before the first Pong."""
        self._wake = wake
        self._now = now
        self._heard_at = now
        self._pinged_at: float | None = None
        self._doubted_until = math.inf
        self._token = 0
        self._ready = False
        self._left = False
        self._failure: PeerError | None = None
        self._reader = FrameReader()
        self._events: deque[Event] = deque()
        self._control: deque[bytes] = deque()
        self._control_size = 0
        self._schedule = Schedule()
        self._budget = Budget()
        self._next_number = 0
        self._highest_remote = -1
        self._channels: dict[int, Channel] = {}
        self._by_remote: dict[int, Channel] = {}
        self._by_name: dict[Name, Channel] = {}
        self._waiting: dict[Name, Channel] = {}
        self._requests: dict[Name, messages.Open] = {}
        self._put(messages.Hello(messages.VERSION, messages.MINIMUM_VERSION, tuple(features)))
        self._ping()

    # What our side does.

    @property
    def channels(self) -> list[Channel]:
        """The channels that are not over."""
        return list(self._channels.values())

    def find(self, key: bytes, protocol: str) -> Channel | None:
        """Return our channel of that name, unless it is closing or over."""
        name = (discovery_key(key), protocol)
        channel = self._waiting.get(name) or self._by_name.get(name)
        return None if channel is None or channel.state is State.CLOSING else channel

    def open(self, key: bytes, protocol: str, handler: ChannelHandler | None = None) -> Channel:
        """Ask for a channel about the feed `key`, or agree to the peer's request for it.

        The channel is usable at once in the second case, and when `ChannelOpened`
        comes in the first. Raises `ValueError` where we have one of that name, and
        `ProtocolError` when the peer's request was made without holding the key.
        """
        if self._left:
            raise ClosedError("the stream is over")
        if self.find(key, protocol) is not None:
            raise ValueError(f"there is a channel for this feed and {protocol!r}")
        if len(self._channels) + len(self._waiting) >= MAX_CHANNELS:
            raise RuntimeError(f"{len(self._channels)} channels, limit {MAX_CHANNELS}")
        name = (discovery_key(key), protocol)
        if self._next_number > messages.MAX_CHANNEL_ID:
            raise RuntimeError(f"a stream opens at most {messages.MAX_CHANNEL_ID} channels")
        window = ReceiveWindow(self._budget, self._now)
        channel = Channel(self, key, name, window, handler)
        if name in self._by_name:
            self._waiting[name] = channel
        else:
            self._start(channel)
        return channel

    def reject(self, key: bytes, protocol: str, reason: str = "") -> None:
        """Refuse the peer's request; `key` is the discovery key that it named."""
        request = self._requests.pop((key, protocol), None)
        if request is not None:
            self._put(messages.Reject(request.channel, messages.clip(reason)))

    def close(self, channel: Channel, reason: str = "") -> None:
        """Close a channel; what it has queued is not sent. Closing twice is nothing."""
        if channel.state is State.WAITING:
            del self._waiting[channel.name]
            channel.become(State.CLOSED)
        elif channel.state in {State.OPENING, State.OPEN}:
            channel.become(State.CLOSING)
            self._put(messages.Close(channel.number, messages.clip(reason)))

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
        self._now = self._heard_at = now
        self._doubted_until = math.inf
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
        asked_at = self._heard_at if self._pinged_at is None else self._pinged_at
        ask_at = max(self._heard_at, asked_at) + PING_AFTER
        return min(ask_at, self._heard_at + DEAD_AFTER, self._doubted_until)

    def doubt(self, now: float) -> None:
        """Ask the peer whether it is there, for there is reason to think that the way is gone."""
        self._now = now
        self._doubted_until = min(self._doubted_until, now + DOUBT)
        self._ping()

    def handle_timeout(self, now: float) -> None:
        """Ask a silent peer whether it is there; raises `DeadlineError` for a dead one.

        Raises `PeerError` where the peer has broken a rule by what it does not do.
        """
        if self._failure is not None:
            raise self._failure
        self._now = now
        if now - self._heard_at >= DEAD_AFTER or now >= self._doubted_until:
            raise DeadlineError(f"peer silent for {now - self._heard_at:.0f} s")
        if now >= self.next_timeout():
            self._ping()

    # What channels ask.

    def wake(self, channel: Channel) -> None:
        """Put the channel in line: it has something to send."""
        self._schedule.add(channel)
        self._wake()

    def replenish(self, channel: Channel) -> None:
        """Give credit back to the peer where it is due."""
        try:
            size = channel.window.grant(channel.partial, self._now, self.round_trip or 0.0)
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
        self._token += 1
        self._pinged_at = self._now
        self._put(messages.Ping(self._token))

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

    # Opening and ending.

    def _start(self, channel: Channel) -> None:
        """Send the Open of a channel; it is open at once if the peer has asked for it."""
        request = self._requests.pop(channel.name, None)
        if request is not None:
            self._check_capability(channel, request)
        channel.number = self._next_number
        self._next_number += 1
        self._channels[channel.number] = channel
        self._by_name[channel.name] = channel
        proof = capability(channel.key, self.handshake_hash, self.initiator)
        self._put(messages.Open(channel.number, *channel.name, proof, channel.window.size))
        channel.become(State.OPENING)
        if request is not None:
            self._pair(channel, request)

    def _check_capability(self, channel: Channel, request: messages.Open) -> None:
        expected = capability(channel.key, self.handshake_hash, not self.initiator)
        if not hmac.compare_digest(expected, request.capability):
            self._failure = ProtocolError(
                f"peer asked for feed {channel.discovery_key.hex()[:16]} without holding its key",
                code="capability",
            )
            raise self._failure

    def _pair(self, channel: Channel, request: messages.Open) -> None:
        channel.remote_number = request.channel
        self._by_remote[request.channel] = channel
        if channel.state is State.OPENING:
            channel.grant(request.window)
            channel.become(State.OPEN)
            self._events.append(ChannelOpened(channel))

    def _finish(self, channel: Channel) -> None:
        """Forget a channel that is over on both sides; the next of its name may start."""
        channel.become(State.CLOSED)
        del self._channels[channel.number]
        del self._by_name[channel.name]
        if channel.remote_number is not None:
            del self._by_remote[channel.remote_number]
        successor = self._waiting.pop(channel.name, None)
        if successor is not None:
            self._start(successor)

    # Receiving.

    def _on_data(self, body: memoryview) -> None:
        if len(body) < messages.DATA_BODY_SIZE:
            raise ProtocolError(f"data frame has {len(body)} bytes")
        if not self._ready:
            raise ProtocolError("data before hello")
        number, flags = messages.DATA_BODY.unpack_from(body)
        channel = self._by_remote.get(number)
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
                self._on_open(message)
            case messages.Reject():
                self._on_reject(message)
            case messages.Close():
                self._on_close(message)
            case messages.Credit():
                self._on_credit(message)
            case messages.Ping():
                self._put(messages.Pong(message.token))
            case messages.Pong():
                self._on_pong(message)
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

    def _on_open(self, request: messages.Open) -> None:
        if request.channel <= self._highest_remote:
            raise ProtocolError(f"channel {request.channel} opened twice")
        self._highest_remote = request.channel
        name = (request.discovery_key, request.protocol)
        channel = self._by_name.get(name)
        if channel is not None:
            if channel.remote_number is not None:
                raise ProtocolError(f"two channels named {name[0].hex()[:16]} {name[1]!r}")
            if channel.state is State.OPENING:
                self._check_capability(channel, request)
            self._pair(channel, request)
        elif name in self._requests:
            raise ProtocolError(f"two requests named {name[0].hex()[:16]} {name[1]!r}")
        elif len(self._requests) >= MAX_REQUESTS or len(self._channels) >= MAX_CHANNELS:
            self._put(messages.Reject(request.channel, "busy"))
        else:
            self._requests[name] = request
            self._events.append(ChannelRequested(*name))

    def _on_reject(self, message: messages.Reject) -> None:
        channel = self._channels.get(message.channel)
        if channel is None or channel.remote_number is not None:
            raise ProtocolError(f"reject of channel {message.channel}, which is not asked for")
        told = channel.state is State.OPENING
        self._finish(channel)
        if told:
            self._events.append(ChannelClosed(channel, message.reason))

    def _on_close(self, message: messages.Close) -> None:
        channel = self._by_remote.get(message.channel)
        if channel is not None:
            told = channel.state is State.OPEN
            if told:
                self._put(messages.Close(channel.number))
            self._finish(channel)
            if told:
                self._events.append(ChannelClosed(channel, message.reason))
            return
        for name, request in self._requests.items():
            if request.channel == message.channel:
                del self._requests[name]
                self._put(messages.Reject(message.channel, "withdrawn"))
                self._events.append(RequestWithdrawn(*name))
                return
        if message.channel > self._highest_remote:
            raise ProtocolError(f"close of channel {message.channel}, which was never opened")
        # Otherwise it crossed our Reject.

    def _on_credit(self, message: messages.Credit) -> None:
        channel = self._by_remote.get(message.channel)
        if channel is None:
            raise ProtocolError(f"credit for channel {message.channel}, which is not open")
        if channel.state is State.OPEN:
            channel.grant(message.size)
            self._schedule.add(channel)

    def _on_pong(self, message: messages.Pong) -> None:
        if message.token != self._token or self._pinged_at is None:
            return
        sample = self._now - self._pinged_at
        self._pinged_at = None
        self.round_trip = (
            sample if self.round_trip is None else self.round_trip * 0.875 + sample * 0.125
        )
