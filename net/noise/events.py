"""What a Noise session tells its owner.

    PeerIdentified?  Established  DataReceived*  (StreamEnded or StreamMoved)?

`PeerIdentified` comes to the side that did not know whom it talks to; that side
decides with `accept`, or drops the session. Nothing comes after the last two.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PeerIdentified:
    """The peer has shown who it is and what it wants; nothing is agreed yet."""

    public_key: bytes
    """Its Ed25519 key, proven."""
    protocol: str
    """What the initiator wants to speak; empty when the responder is identified."""
    extra: bytes
    """Bytes of the layer above that travelled in the handshake; at most 512."""


@dataclass(frozen=True, slots=True)
class Established:
    """Both sides have proven their keys, and that they are here now."""

    public_key: bytes
    protocol: str
    extra: bytes
    handshake_hash: bytes
    """64 bytes that name this stream; both sides hold the same."""


@dataclass(slots=True)  # one is made for every record, and freezing it would cost as much again
class DataReceived:
    """Plaintext of one record."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer said, under its key, that no more data will follow."""


@dataclass(frozen=True, slots=True)
class StreamMoved:
    """The peer said, under its key, that its data goes on elsewhere."""


Event = PeerIdentified | Established | DataReceived | StreamEnded | StreamMoved
