"""Which channels a stream has, and how they open and end.

A channel has a name: a feed's discovery key and a protocol. It opens when both sides
have sent an Open of that name, each with a proof, bound to this stream and to the side,
that it holds the feed's key. So an Open asks for what the other has not opened, and
agrees to what it has; two Opens that cross are one channel. Each side has at most one
channel of a name that is not over, so the n-th of one side is the n-th of the other.

    open(key, protocol, handler, now) -> Channel    reject(name, reason)    close(channel, reason)
    on_open, on_reject, on_close    take what the peer says of it

Invariant: our side has at most MAX_CHANNELS channels that are not over, the peer MAX_REQUESTS
wishes for others; no channel is open whose peer has not proven that it holds the feed's key.
Must not know frames, payload, or what is spoken on a channel. Time comes in as `now`.
Specified in docs/spec/stream.md, section 4.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable

from feedlog.hashing import discovery_key
from net.channels import messages
from net.channels.channel import Channel, ChannelHandler, Owner, State
from net.channels.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRequested,
    Event,
    RequestWithdrawn,
)
from net.channels.window import Budget, ReceiveWindow
from net.errors import ProtocolError
from net.hashing import capability

MAX_CHANNELS = 1024
"""Channels of one stream that are not over. More feeds than that are opened in turn."""

MAX_REQUESTS = 128
"""Channels that the peer has asked for and nobody has answered; more are refused."""

Name = tuple[bytes, str]
"""A discovery key and a protocol."""


class ChannelTable:
    """The channels of one stream. `put` queues a control message, `events` tell the owner."""

    def __init__(
        self,
        owner: Owner,
        *,
        initiator: bool,
        handshake_hash: bytes,
        put: Callable[[messages.Control], None],
        events: deque[Event],
    ) -> None:
        self.channels: dict[int, Channel] = {}
        """Those that are not over, by our number."""
        self.by_remote: dict[int, Channel] = {}
        """Those of them that the peer has opened, too, by its number."""
        self.requests: dict[Name, messages.Open] = {}
        """What the peer has asked for and nobody has answered."""
        self.budget = Budget()
        """The memory of all their windows."""
        self._owner = owner
        self._initiator = initiator
        self._handshake_hash = handshake_hash
        self._put = put
        self._events = events
        self._by_name: dict[Name, Channel] = {}
        self._waiting: dict[Name, Channel] = {}
        self._next_number = 0
        self._highest_remote = -1

    # What our side does.

    def find(self, key: bytes, protocol: str) -> Channel | None:
        """Return our channel of that name, unless it is closing or over."""
        name = (discovery_key(key), protocol)
        channel = self._waiting.get(name) or self._by_name.get(name)
        return None if channel is None or channel.state is State.CLOSING else channel

    def open(
        self, key: bytes, protocol: str, handler: ChannelHandler | None, now: float
    ) -> Channel:
        """Ask for a channel about the feed `key`, or agree to the peer's request for it.

        Raises `ValueError` where we have one of that name, `RuntimeError` for one too many,
        and `ProtocolError` when the peer's request was made without holding the key.
        """
        if self.find(key, protocol) is not None:
            raise ValueError(f"there is a channel for this feed and {protocol!r}")
        if len(self.channels) + len(self._waiting) >= MAX_CHANNELS:
            raise RuntimeError(f"{len(self.channels)} channels, limit {MAX_CHANNELS}")
        name = (discovery_key(key), protocol)
        if self._next_number > messages.MAX_CHANNEL_ID:
            raise RuntimeError(f"a stream opens at most {messages.MAX_CHANNEL_ID} channels")
        channel = Channel(self._owner, key, name, ReceiveWindow(self.budget, now), handler)
        if name in self._by_name:
            self._waiting[name] = channel
        else:
            self._start(channel)
        return channel

    def reject(self, name: Name, reason: str) -> None:
        """Refuse the peer's request, if there is one of that name."""
        request = self.requests.pop(name, None)
        if request is not None:
            self._put(messages.Reject(request.channel, messages.clip(reason)))

    def close(self, channel: Channel, reason: str) -> None:
        """Close a channel; what it has queued is not sent. Closing twice is nothing."""
        if channel.state is State.WAITING:
            del self._waiting[channel.name]
            channel.become(State.CLOSED)
        elif channel.state in {State.OPENING, State.OPEN}:
            channel.become(State.CLOSING)
            self._put(messages.Close(channel.number, messages.clip(reason)))

    # What the peer says. Each raises `ProtocolError` for what no correct peer does.

    def on_open(self, request: messages.Open) -> None:
        """Take the peer's wish for a channel, or its agreement to ours."""
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
        elif name in self.requests:
            raise ProtocolError(f"two requests named {name[0].hex()[:16]} {name[1]!r}")
        elif len(self.requests) >= MAX_REQUESTS or len(self.channels) >= MAX_CHANNELS:
            self._put(messages.Reject(request.channel, "busy"))
        else:
            self.requests[name] = request
            self._events.append(ChannelRequested(*name))

    def on_reject(self, message: messages.Reject) -> None:
        """Learn that the peer does not want a channel that we have asked for."""
        channel = self.channels.get(message.channel)
        if channel is None or channel.remote_number is not None:
            raise ProtocolError(f"reject of channel {message.channel}, which is not asked for")
        told = channel.state is State.OPENING
        self._finish(channel)
        if told:
            self._events.append(ChannelClosed(channel, message.reason))

    def on_close(self, message: messages.Close) -> None:
        """Learn that the peer says no more on a channel, or asks for it no more."""
        channel = self.by_remote.get(message.channel)
        if channel is not None:
            told = channel.state is State.OPEN
            if told:
                self._put(messages.Close(channel.number))
            self._finish(channel)
            if told:
                self._events.append(ChannelClosed(channel, message.reason))
            return
        for name, request in self.requests.items():
            if request.channel == message.channel:
                del self.requests[name]
                self._put(messages.Reject(message.channel, "withdrawn"))
                self._events.append(RequestWithdrawn(*name))
                return
        if message.channel > self._highest_remote:
            raise ProtocolError(f"close of channel {message.channel}, which was never opened")
        # Otherwise it crossed our Reject.

    # Opening and ending.

    def _start(self, channel: Channel) -> None:
        """Send the Open of a channel; it is open at once if the peer has asked for it."""
        request = self.requests.pop(channel.name, None)
        if request is not None:
            self._check_capability(channel, request)
        channel.number = self._next_number
        self._next_number += 1
        self.channels[channel.number] = channel
        self._by_name[channel.name] = channel
        proof = capability(channel.key, self._handshake_hash, self._initiator)
        self._put(messages.Open(channel.number, *channel.name, proof, channel.window.size))
        channel.become(State.OPENING)
        if request is not None:
            self._pair(channel, request)

    def _check_capability(self, channel: Channel, request: messages.Open) -> None:
        expected = capability(channel.key, self._handshake_hash, not self._initiator)
        if not hmac.compare_digest(expected, request.capability):
            raise ProtocolError(
                f"peer asked for feed {channel.discovery_key.hex()[:16]} without holding its key",
                code="capability",
            )

    def _pair(self, channel: Channel, request: messages.Open) -> None:
        channel.remote_number = request.channel
        self.by_remote[request.channel] = channel
        if channel.state is State.OPENING:
            channel.grant(request.window)
            channel.become(State.OPEN)
            self._events.append(ChannelOpened(channel))

    def _finish(self, channel: Channel) -> None:
        """Forget a channel that is over on both sides; the next of its name may start."""
        channel.become(State.CLOSED)
        del self.channels[channel.number]
        del self._by_name[channel.name]
        if channel.remote_number is not None:
            del self.by_remote[channel.remote_number]
        successor = self._waiting.pop(channel.name, None)
        if successor is not None:
            self._start(successor)
