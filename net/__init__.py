"""The network: secure streams, discovery, and replication of feeds between peers."""

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
from net.node import Node, Server
from net.remote import Remote
from net.remote_file import RemoteFile
from net.status import PeerStatus, Status
from net.stream import SecureStream

__all__ = [
    "ClosedError",
    "ConnectError",
    "DeadlineError",
    "HandshakeError",
    "LimitError",
    "ListenError",
    "NetError",
    "Node",
    "NotFound",
    "PeerError",
    "PeerStatus",
    "ProtocolError",
    "RefusedError",
    "Remote",
    "RemoteFile",
    "SecureStream",
    "Server",
    "Status",
]
