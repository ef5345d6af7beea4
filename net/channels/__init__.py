"""Many channels on one secure stream. Specified in docs/spec/stream.md, section 4."""

from net.channels.channel import Channel, ChannelHandler
from net.channels.events import (
    ChannelClosed,
    ChannelDrained,
    ChannelMessage,
    ChannelOpened,
    ChannelRequested,
    PeerLeft,
    PeerReady,
    PeerSilent,
    RequestWithdrawn,
)
from net.channels.mux import Mux

__all__ = [
    "Channel",
    "ChannelClosed",
    "ChannelDrained",
    "ChannelHandler",
    "ChannelMessage",
    "ChannelOpened",
    "ChannelRequested",
    "Mux",
    "PeerLeft",
    "PeerReady",
    "PeerSilent",
    "RequestWithdrawn",
]
