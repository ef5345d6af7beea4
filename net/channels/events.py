"""What a mux tells its owner.

PeerReady  then, in any order,
ChannelRequested(name)  answered by mux.open or mux.reject, or RequestWithdrawn(name)
ChannelOpened(channel)  ChannelMessage(channel)*  ChannelDrained(channel)*  ChannelClosed(channel)
PeerSilent              at any time: it has not answered a ping, and may yet
PeerLeft(reason)        the last event, if it comes
"""

from __future__ import annotations

from dataclasses import dataclass, field

from net.channels.channel import Channel


@dataclass(frozen=True, slots=True)
class PeerReady:
    """The peer's hello has come: which version both speak and what the peer can do."""

    version: int
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChannelRequested:
    """The peer wants a channel. Its proof is checked when `mux.open` names the feed's key."""

    discovery_key: bytes
    protocol: str


@dataclass(frozen=True, slots=True)
class RequestWithdrawn:
    """The peer no longer wants the channel that it requested."""

    discovery_key: bytes
    protocol: str


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """Both sides have proven that they hold the feed's key; messages may flow."""

    channel: Channel


@dataclass(slots=True)  # one is made for every message, and freezing it would cost as much again
class ChannelMessage:
    """One message. `channel.consume(len(data))` lets the peer send as much again."""

    channel: Channel
    data: bytes = field(repr=False)
    urgent: bool


@dataclass(frozen=True, slots=True)
class ChannelDrained:
    """The channel, which was not writable, is writable again."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The channel is over: the peer closed or refused it, or broke its limits."""

    channel: Channel
    reason: str


@dataclass(frozen=True, slots=True)
class PeerSilent:
    """The peer does not answer: `mux.is_silent` until it is heard again, or the stream ends."""


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """The peer said goodbye; the stream ends."""

    reason: str


Event = (
    PeerReady
    | ChannelRequested
    | RequestWithdrawn
    | ChannelOpened
    | ChannelMessage
    | ChannelDrained
    | ChannelClosed
    | PeerSilent
    | PeerLeft
)
