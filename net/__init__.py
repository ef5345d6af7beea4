"""The network: secure streams, discovery, and replication of feeds between peers."""

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
from net.relay.limits import RelayLimits
from net.remote import Remote
from net.remote_file import RemoteFile
from net.status import PeerStatus, Status
from net.stream import SecureStream
from net.streams import Server

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
    "Status",
    "Value",
]
