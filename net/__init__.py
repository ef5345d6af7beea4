"""The network: secure streams, discovery, and replication of feeds between peers.

From top to bottom; each folder imports those below it, and none above:

    node                    the facade
    sharing                 feeds that are shared and followed, as users see them
    reaching                how a stream to a peer comes about, through routers too
    finding                 where peers are: all ways of finding them as one
    dht lan mainline relay  those ways, and what carries bytes where nothing else does
    secure                  one encrypted stream to one peer
    carriers                TCP, QUIC, memory
    noise channels punch replicate
                            protocols that take bytes and the time, and wait for nothing
"""

from net.dht.value_records import Value
from net.discovery import PeerAddress
from net.errors import (
    ClosedError,
    ConnectError,
    DeadlineError,
    HandshakeError,
    LimitError,
    ListenError,
    NetError,
    NotFound,
    PeerError,
    ProtocolError,
    RefusedError,
)
from net.node import Node
from net.punch.classify import NatClass, NatReport
from net.reaching.streams import Server
from net.relay.limits import RelayLimits
from net.secure.stream import SecureStream
from net.sharing.remote import Remote
from net.sharing.remote_file import RemoteFile
from net.sharing.setbacks import Setback, SetbackKind
from net.sharing.status import PeerStatus, Status

__all__ = [
    "ClosedError",
    "ConnectError",
    "DeadlineError",
    "HandshakeError",
    "LimitError",
    "ListenError",
    "NatClass",
    "NatReport",
    "NetError",
    "Node",
    "NotFound",
    "PeerAddress",
    "PeerError",
    "PeerStatus",
    "ProtocolError",
    "RefusedError",
    "RelayLimits",
    "Remote",
    "RemoteFile",
    "SecureStream",
    "Server",
    "Setback",
    "SetbackKind",
    "Status",
    "Value",
]
