"""Noise over an ordered byte stream: handshake, records, and the session of both.

Specified in docs/spec/stream.md, sections 2 and 3.
"""

from net.noise.events import DataReceived, Established, PeerIdentified, StreamEnded, StreamMoved
from net.noise.session import NoiseSession

__all__ = [
    "DataReceived",
    "Established",
    "NoiseSession",
    "PeerIdentified",
    "StreamEnded",
    "StreamMoved",
]
